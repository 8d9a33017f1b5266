"""The server's commands, one file a group: functions from the connection and the words to the reply's bytes."""
