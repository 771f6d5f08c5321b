/* Whether a path is safe from other users. */

#include "net/posix_private.h"

#if !defined(SMARTCACHE_NO_POSIX) && !defined(SMARTCACHE_NO_SERVER)

#include "base/error.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* The sticky bit is of XSI: where the headers hide it, its number is known. */
#if defined(S_ISVTX)
#define SCI_POSIX_STICKY S_ISVTX
#else
#define SCI_POSIX_STICKY 01000
#endif

/* Of a long path, so that the reason behind it has room. */
#define SCI_PRIVATE_SHOWN_BYTES 256

/* What Linux fills in for SO_PEERCRED: struct ucred, which its headers hide. */
typedef struct sci_posix_credentials {
    int32_t process;
    uint32_t user;
    uint32_t group;
} sci_posix_credentials;

static sc_status sci_posix_private_fail(const char *path, const char *words)
{
    return sc_fail(SC_ERR_IO, "%.*s: %s", SCI_PRIVATE_SHOWN_BYTES, path, words);
}

SCI_PRIVATE sc_status sci_posix_check_folder(const char *path)
{
    char folder[SC_PATH_BYTES];
    char unlisted[SCI_POSIX_ERROR_BYTES];
    struct stat there;
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len == 0 || len > sizeof(folder) - 1)
        return sci_posix_private_fail(path, "the path is too long for a Unix socket");
    (void)sci_format(folder, sizeof(folder), "%.*s", (int)len, path);
    if (stat(folder, &there) < 0)
        return sci_posix_private_fail(folder, errno == ENOENT
                                                  ? "there is no such folder: make it first"
                                                  : sci_posix_error_text(errno, unlisted));
    if (!S_ISDIR(there.st_mode))
        return sci_posix_private_fail(folder, "it is no folder");
    if (there.st_uid != geteuid() && there.st_uid != 0)
        return sci_posix_private_fail(folder,
                                      "the folder is another user's: choose one of your own");
    if ((there.st_mode & (S_IWGRP | S_IWOTH)) && !(there.st_mode & SCI_POSIX_STICKY))
        return sci_posix_private_fail(
            folder, "other users may write in the folder: take that right away (chmod go-w), or "
                    "choose another");
    return SC_OK;
}

SCI_PRIVATE sc_status sci_posix_check_owner(const char *path)
{
    struct stat there;
    if (lstat(path, &there) < 0 || there.st_uid == geteuid())
        return SC_OK; /* who cannot see it learns why when it is opened */
    return sci_posix_private_fail(path, "it is another user's: choose another name");
}

SCI_PRIVATE sc_status sci_posix_check_peer(sc_descriptor descriptor, const char *path)
{
#if defined(SO_PEERCRED) && defined(__linux__)
    sci_posix_credentials peer;
    socklen_t len = (socklen_t)sizeof(peer);
    memset(&peer, 0xff, sizeof(peer));
    if (getsockopt((int)descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
        (peer.user == geteuid() || peer.user == 0))
        return SC_OK;
    return sc_fail(SC_ERR_CONNECT, "%s: another user's process listens there", path);
#else
    (void)descriptor;
    return sci_posix_check_owner(path) == SC_OK ? SC_OK : SC_ERR_CONNECT;
#endif
}

#endif
