-- How the bytes of a channel's messages are made, if not as our own JSON: the name of a format and what it needs to know.
ALTER TABLE channel ADD COLUMN format TEXT;
