"""The classic tournament: features, and the obfuscated data set made from them."""
