"""The words of the platform as types. Standard library only; all other packages of ours import this one."""

__version__ = "0.1.0"
