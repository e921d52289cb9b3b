"""`marketbill import-orders`: a file of marketplace orders becomes payments."""
