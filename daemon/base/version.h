/* The version that all programs print; a package may set another one when it compiles. */
#pragma once

#ifndef RETENTION_VERSION
#define RETENTION_VERSION "0.1"
#endif
