/*
 * The names in an archive's folder, and how its files begin.  Every reader and writer of an archive takes
 * them from here.
 */
#pragma once

#include "base/file.h"

#define ARCHIVE_PARTIAL ".partial" /* behind the folder's name, while its job runs */
#define ARCHIVE_SUMS "SHA256SUMS"
#define ARCHIVE_SUM_NAME (FILE_HEX + 2) /* where its lines have the name: behind two blanks */
#define ARCHIVE_PLAIN_SUMS "SHA256SUMS.plain" /* while its files are being encrypted */
#define ARCHIVE_MANIFEST "manifest.json"
#define ARCHIVE_LENGTHS "lengths.json" /* while its segments are being joined */
#define ARCHIVE_ENCRYPTED ".age" /* behind a file's name */
#define ARCHIVE_TEMPORARY FILE_TEMPORARY
#define ARCHIVE_BOM                                                                                \
	"\xEF\xBB\xBF" /* the byte order mark of UTF-8, where the configuration asks for it */
