"""Words without a meaning for markets, from which the published names of features are made."""

ADJECTIVES = (
    "amber", "ancient", "arctic", "azure", "bashful", "blazing", "brisk", "bronze", "candid", "cheerful", "chilly",
    "clever", "coastal", "cobalt", "copper", "crimson", "curious", "dainty", "damp", "dapper", "distant", "dusty",
    "eager", "earnest", "elder", "emerald", "fabled", "faithful", "feathered", "fleeting", "foggy", "frosty", "gentle",
    "gilded", "glossy", "grassy", "hazel", "hidden", "hollow", "humble", "icy", "ivory", "jolly", "lanky", "lively",
    "lofty", "lunar", "mellow", "mossy", "nimble", "olive", "pebbled", "placid", "polar", "quaint", "rustic", "sandy",
    "silken", "silver", "sleepy", "tawny", "velvet", "wandering", "woven",
)  # fmt: skip
NOUNS = (
    "acorn", "anchor", "anvil", "apron", "badger", "banjo", "barley", "basket", "beacon", "birch", "biscuit", "bramble",
    "canoe", "cedar", "cellar", "clover", "compass", "cottage", "cricket", "dahlia", "falcon", "fern", "ferry",
    "fiddle", "garden", "goblet", "gondola", "granite", "hammock", "harbor", "heron", "honey", "island", "jasmine",
    "kettle", "ladder", "lantern", "lichen", "magnet", "maple", "marble", "meadow", "mitten", "nutmeg", "orchard",
    "otter", "paddle", "parsley", "pebble", "pelican", "pigment", "quilt", "raven", "saddle", "sparrow", "spindle",
    "thimble", "tulip", "turnip", "walnut", "willow", "window", "wren", "yarrow",
)  # fmt: skip
