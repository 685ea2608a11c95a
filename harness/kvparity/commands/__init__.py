"""What the command line's commands do, apart from how their options are parsed."""
