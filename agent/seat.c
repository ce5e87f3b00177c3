/* seat.c - the agent's socket in the file system: where it is bound, and whether it still is there. */
#include "agent/seat.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "agent/portable.h"
#include "agent/start.h"
#include "agent/wire.h"

enum {
	BACKLOG = 64,
	/* A socket that nobody listens on may be one that will be listened on in an instant. */
	STALE_AFTER_S = 60,
	STALE_LOOKS_MAX = 256,
};

/* What getdents64() writes; the C library's readdir() would allocate. */
struct directory_entry {
	uint64_t inode;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

/*
 * The address of @p name in the directory. By its real path where that is short enough: systemd-tmpfiles
 * looks in /proc/net/unix whether a socket of that name is alive.
 */
static bool address_of(const struct ctask_seat *seat, int directory, const char *name,
		       struct sockaddr_un *ret)
{
	struct ctask_wire path = { .to = ret->sun_path, .room = sizeof(ret->sun_path) };

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	ctask_wire_put(&path, seat->path);
	ctask_wire_put(&path, "/");
	ctask_wire_put(&path, name);
	if (!path.full)
		return true;
	path = (struct ctask_wire){ .to = ret->sun_path, .room = sizeof(ret->sun_path) };
	ctask_wire_put(&path, "/proc/thread-self/fd/");
	ctask_wire_put_number(&path, (uint64_t)directory);
	ctask_wire_put(&path, "/");
	ctask_wire_put(&path, name);
	return !path.full;
}

/* True when there certainly is nobody behind @p name. */
static bool is_dead(const struct ctask_seat *seat, int directory, const char *name)
{
	struct sockaddr_un address;
	bool dead;
	int fd;

	if (!address_of(seat, directory, name, &address))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	dead = connect(fd, (struct sockaddr *)&address, sizeof(address)) && errno == ECONNREFUSED;
	close(fd);
	return dead;
}

/* When process @p nspid, as we see it, started; 0 when there is none. */
static uint64_t start_of(int32_t nspid)
{
	char path[64];
	struct ctask_wire wire = { .to = path, .room = sizeof(path) };

	ctask_wire_put(&wire, "/proc/");
	ctask_wire_put_number(&wire, (uint64_t)nspid);
	ctask_wire_put(&wire, "/stat");
	return ctask_start_ticks(path);
}

/* True for the socket of a process that is gone. */
static bool is_stale(const struct ctask_seat *seat, int directory, const char *name, time_t now)
{
	uint64_t start_ticks;
	int32_t nspid;
	struct stat st;

	return ctask_socket_name_parse(name, &nspid, &start_ticks) && strcmp(name, seat->name) &&
	       !ctask_fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISSOCK(st.st_mode) &&
	       st.st_uid == seat->uid && st.st_mtime < now - STALE_AFTER_S &&
	       start_of(nspid) != start_ticks &&
	       /* It may be of another pid namespace: only its silence tells. */
	       is_dead(seat, directory, name);
}

static void remove_stale(const struct ctask_seat *seat, int directory)
{
	char entries[4096] __attribute__((aligned(8)));
	struct timespec now;
	int looks = 0;

	if (clock_gettime(CLOCK_REALTIME, &now) || lseek(directory, 0, SEEK_SET))
		return;
	while (looks < STALE_LOOKS_MAX) {
		long len = syscall(SYS_getdents64, directory, entries, sizeof(entries));

		if (len <= 0)
			break;
		for (long at = 0; at < len && looks < STALE_LOOKS_MAX; looks++) {
			struct directory_entry *entry = (void *)(entries + at);

			at += entry->bytes;
			if (is_stale(seat, directory, entry->name, now.tv_sec))
				(void)unlinkat(directory, entry->name, 0);
		}
	}
}

/* The directory at seat->path, made where it is missing. It must be one that nobody else can write to. */
static int open_directory(struct ctask_seat *seat, bool may_be_roots)
{
	struct stat st;
	int fd, ret = 0;

	if (mkdir(seat->path, 0700) && errno != EEXIST)
		ret = -errno;
	fd = open(seat->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return ret ? ret : -errno;
	if (ctask_fstat(fd, &st) || st.st_mode & (S_IWGRP | S_IWOTH) ||
	    (st.st_uid != seat->uid && !(may_be_roots && st.st_uid == 0))) {
		close(fd);
		return -EPERM;
	}
	if (!ctask_own_take(&seat->directory, fd)) {
		close(fd);
		return -EMFILE;
	}
	(void)flock(ctask_own_fd(&seat->directory), LOCK_SH | LOCK_NB);
	return 0;
}

static int bind_in(struct ctask_seat *seat, int directory)
{
	struct sockaddr_un address;
	struct stat st;
	int fd, error = 0;

	if (!address_of(seat, directory, seat->name, &address))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* The mode of the socket is that of its file from the first instant. */
	if (fchmod(fd, 0600))
		error = errno;
	else if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		error = errno;
	/* This process before it called exec(), or an agent's thread that ended. */
	if (error == EADDRINUSE && is_dead(seat, directory, seat->name) &&
	    !unlinkat(directory, seat->name, 0))
		error = bind(fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0;
	if (!error && listen(fd, BACKLOG))
		error = errno;
	if (!error && ctask_fstatat(directory, seat->name, &st, AT_SYMLINK_NOFOLLOW))
		error = errno;
	if (!error && !ctask_own_take(&seat->listener, fd))
		error = EMFILE;
	if (error) {
		close(fd);
		return -error;
	}
	seat->device = st.st_dev;
	seat->inode = st.st_ino;
	fd = openat(directory, seat->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && !ctask_own_take(&seat->file, fd))
		close(fd);
	return 0;
}

int ctask_seat_take(struct ctask_seat *seat, const struct ctask_places *places, int32_t nspid,
		    uint64_t start_ticks)
{
	int ret = -ENOENT;

	for (int kind = 0; kind < CTASK_PLACE_KINDS; kind++) {
		int error;

		ctask_seat_close(seat);
		seat->uid = places->uid;
		ctask_socket_name(nspid, start_ticks, seat->name);
		if (!ctask_place_path(places, (enum ctask_place_kind)kind, seat->path))
			continue;
		error = open_directory(seat, kind == CTASK_AT_CTASK_DIR);
		if (!error)
			error = bind_in(seat, ctask_own_fd(&seat->directory));
		if (!error) {
			remove_stale(seat, ctask_own_fd(&seat->directory));
			return 0;
		}
		ret = error;
	}
	ctask_seat_close(seat);
	return ret;
}

bool ctask_seat_is_there(const struct ctask_seat *seat)
{
	struct ctask_own own = seat->directory;
	int directory = ctask_own_fd(&own);
	struct stat st, by_path;

	/* The directory may have been removed, and another one stand in its place. */
	return directory >= 0 && !ctask_fstat(directory, &st) &&
	       !ctask_fstatat(AT_FDCWD, seat->path, &by_path, AT_SYMLINK_NOFOLLOW) &&
	       st.st_dev == by_path.st_dev && st.st_ino == by_path.st_ino &&
	       !ctask_fstatat(directory, seat->name, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_dev == seat->device && st.st_ino == seat->inode;
}

void ctask_seat_drop_lost(struct ctask_seat *seat)
{
	(void)ctask_own_fd(&seat->listener);
	(void)ctask_own_fd(&seat->file);
	(void)ctask_own_fd(&seat->directory);
}

void ctask_seat_close(struct ctask_seat *seat)
{
	ctask_own_close(&seat->listener);
	ctask_own_close(&seat->file);
	ctask_own_close(&seat->directory);
	seat->path[0] = seat->name[0] = '\0';
}

void ctask_seat_forget(struct ctask_seat *seat)
{
	seat->listener = seat->file = seat->directory = (struct ctask_own){ 0 };
	seat->path[0] = seat->name[0] = '\0';
}

void ctask_seat_remove_name(const struct ctask_seat *seat)
{
	char text[CTASK_PLACE_BYTES + CTASK_SOCKET_NAME_BYTES];
	struct ctask_wire path = { .to = text, .room = sizeof(text) };
	struct stat st;

	if (!seat->name[0])
		return;
	ctask_wire_put(&path, seat->path);
	ctask_wire_put(&path, "/");
	ctask_wire_put(&path, seat->name);
	/* By its path: whoever calls this may not have the thread's files. */
	if (!path.full && !ctask_fstatat(AT_FDCWD, text, &st, AT_SYMLINK_NOFOLLOW) &&
	    st.st_dev == seat->device && st.st_ino == seat->inode)
		(void)unlink(text);
}

void ctask_seat_path(const struct ctask_seat *seat, char path[CTASK_SOCKET_PATH_BYTES])
{
	struct ctask_wire wire = { .to = path, .room = CTASK_SOCKET_PATH_BYTES };

	ctask_wire_put(&wire, seat->path);
	ctask_wire_put(&wire, "/");
	ctask_wire_put(&wire, seat->name);
	if (wire.full || !seat->name[0])
		path[0] = '\0';
}
