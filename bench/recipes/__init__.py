"""From the settings in a record back to the words of the command line that has them."""
