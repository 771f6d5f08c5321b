#pragma once
/* Whether a path is safe from other users. */

#include "net/posix.h"

#if !defined(SMARTCACHE_NO_POSIX) && !defined(SMARTCACHE_NO_SERVER)
/* The folder of `path` must be this user's or root's, and nobody else may take a file of this user
   away in it: not writable by others, or sticky. What stands at `path`, if anything, must be this
   user's. SC_ERR_IO with words. */
SCI_PRIVATE sc_status sci_posix_check_folder(const char *path);
SCI_PRIVATE sc_status sci_posix_check_owner(const char *path);
/* A connected Unix socket whose other end is not this user's, nor root's: SC_ERR_CONNECT. Where the
   system does not tell, the owner of the file at `path` stands for it. */
SCI_PRIVATE sc_status sci_posix_check_peer(sc_descriptor descriptor, const char *path);
#endif
