/*
 * The tables. A step that was released is never changed: later ones are put behind it.
 */
#include "schema.h"

const char *const schema_steps[SCHEMA_VERSION] = {
	/* A node of the log by its number, once it is complete: log_nodes.h. */
	"CREATE TABLE log_nodes ("
	"	node INTEGER PRIMARY KEY,"
	"	hash BLOB NOT NULL CHECK (length(hash) = 32)"
	");"
	/* A node of the map, which never changes: map_nodes.h. A leaf has no children, and its depth is 256. */
	"CREATE TABLE map_nodes ("
	"	id INTEGER PRIMARY KEY,"
	"	depth INTEGER NOT NULL CHECK (depth BETWEEN 0 AND 256),"
	"	path BLOB NOT NULL CHECK (length(path) = 32),"
	"	leaf_hash BLOB CHECK (length(leaf_hash) = 32),"
	"	left INTEGER REFERENCES map_nodes,"
	"	left_hash BLOB CHECK (length(left_hash) = 32),"
	"	right INTEGER REFERENCES map_nodes,"
	"	right_hash BLOB CHECK (length(right_hash) = 32)"
	");"
	"PRAGMA user_version = 1",
};
