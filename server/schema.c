/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
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
	/* What has been published: published.h. */
	"CREATE TABLE logs ("
	"	id INTEGER PRIMARY KEY,"
	"	log_id BLOB NOT NULL UNIQUE CHECK (length(log_id) = 32),"
	"	length INTEGER NOT NULL,"
	"	head INTEGER NOT NULL" /* the last record's place in the registry's log */
	");"
	"CREATE TABLE records ("
	"	registry_index INTEGER PRIMARY KEY,"
	"	log INTEGER NOT NULL REFERENCES logs,"
	"	record_id BLOB NOT NULL CHECK (length(record_id) = 32),"
	"	key_id BLOB NOT NULL CHECK (length(key_id) = 32),"
	"	signature BLOB NOT NULL,"
	"	content BLOB NOT NULL,"
	"	UNIQUE (log, record_id)"
	");"
	"CREATE UNIQUE INDEX records_of_logs ON records (log, registry_index);"
	"CREATE TABLE checkpoints ("
	"	log_length INTEGER PRIMARY KEY,"
	"	log_root BLOB NOT NULL CHECK (length(log_root) = 32),"
	"	map_root BLOB NOT NULL CHECK (length(map_root) = 32),"
	"	map_node INTEGER NOT NULL REFERENCES map_nodes,"
	"	timestamp INTEGER NOT NULL,"
	"	key_id BLOB NOT NULL CHECK (length(key_id) = 32),"
	"	signature BLOB NOT NULL"
	");"
	/* The names of packages, from the first record that was sent on: package_names.h. */
	"CREATE TABLE packages ("
	"	log_id BLOB NOT NULL PRIMARY KEY CHECK (length(log_id) = 32),"
	"	name BLOB NOT NULL"
	") WITHOUT ROWID;"
	/* What was sent and is not published: waiting.h. */
	"CREATE TABLE submitted ("
	"	id INTEGER PRIMARY KEY,"
	"	log_id BLOB NOT NULL REFERENCES packages,"
	"	record_id BLOB NOT NULL CHECK (length(record_id) = 32),"
	"	key_id BLOB NOT NULL CHECK (length(key_id) = 32),"
	"	signature BLOB NOT NULL,"
	"	content BLOB NOT NULL,"
	"	since INTEGER NOT NULL," /* seconds since 1970 */
	"	lacking INTEGER NOT NULL," /* contents */
	"	reason BLOB," /* of one that was rejected */
	"	UNIQUE (log_id, record_id)"
	");"
	"CREATE INDEX submitted_waiting ON submitted (log_id) WHERE reason IS NULL;"
	"CREATE INDEX submitted_complete ON submitted (id) WHERE reason IS NULL AND lacking = 0;"
	"CREATE TABLE missing ("
	"	digest BLOB NOT NULL CHECK (length(digest) = 32),"
	"	submitted INTEGER NOT NULL REFERENCES submitted ON DELETE CASCADE,"
	"	place INTEGER NOT NULL," /* in the order of the record */
	"	PRIMARY KEY (submitted, digest)"
	") WITHOUT ROWID;"
	"CREATE INDEX missing_digests ON missing (digest);"
	"PRAGMA user_version = 1",
	/* Imported packages with a refused record, and its index: refused.h. */
	"CREATE TABLE refused ("
	"	log_id BLOB NOT NULL PRIMARY KEY CHECK (length(log_id) = 32),"
	"	registry_index INTEGER NOT NULL,"
	"	reason BLOB NOT NULL"
	") WITHOUT ROWID;"
	"PRAGMA user_version = 2",
	/*
	 * Contents uploaded, or to be uploaded, for a record that is not published: garbage.h. Of a rejected record
	 * only the reason is kept.
	 */
	"CREATE TABLE received ("
	"	digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32)"
	") WITHOUT ROWID;"
	"INSERT OR IGNORE INTO received SELECT digest FROM missing;"
	"UPDATE submitted SET signature = zeroblob(0), content = zeroblob(0) WHERE reason IS NOT NULL;"
	"PRAGMA user_version = 3",
};

const char *const schema_stand_ins[SCHEMA_VERSION] = {
	"",
	"CREATE TEMP TABLE refused (log_id BLOB, registry_index INTEGER, reason BLOB)",
	"CREATE TEMP TABLE received (digest BLOB)",
};
