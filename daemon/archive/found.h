/*
 * What the disk holds of an archive that the database knows too little of, because it was restored from a backup.
 */
#pragma once

#include "archive/writer.h"

/* Is there a finished folder of that name, or an unfinished one that is not empty? */
bool archive_is_used(const struct archive *a);

/*
 * The lengths and rows of the archive's files, as JSON like manifest.json or manifest_lengths(), owned by ctx: from the
 * finished folder's manifest, from what an earlier end has noted, or else from the segments, each up to its last
 * complete record.  CONFIG: the folder is not there, or has files of other tables or with other headers.
 */
char *archive_found(const struct archive *a, void *ctx, struct error *err);
