"""The commands of the command line, one a file: the file's name is the command's."""
