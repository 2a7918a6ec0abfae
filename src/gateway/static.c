/*
 * static.c - files below pg_rooms.document_root (a demo page, a client bundle).
 *
 * http.c calls in with every request that is not for the Engine.IO endpoint.
 * The kernel keeps the path inside the folder (openat2, RESOLVE_BENEATH: no
 * "..", no symbolic link that leads out); names with a leading dot are not
 * served, nor anything but regular files.  No listing, no ranges: whoever
 * needs a web server puts one in front.
 */
#include "gateway/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STATIC_PATH_MAX	1024
#define TYPE_PLAIN		"text/plain; charset=UTF-8"

static bool static_name(const char *path, char *name, size_t size);
static int	static_open(int root, const char *name);
static const char *static_type(const char *name);
static void static_error(Http *h, int status, const char *fields);

void
static_request(Http *h, int root)
{
	char		name[STATIC_PATH_MAX];
	char		wanted[64];
	char		modified[64];
	char		fields[256];
	char		tag[48];
	struct stat st;
	struct tm	tm;
	int			fd;

	if (root < 0)
	{
		static_error(h, 404, "");
		return;
	}
	if (h->request.method != HTTP_GET && h->request.method != HTTP_HEAD)
	{
		static_error(h, 405, "Allow: GET, HEAD\r\n");
		return;
	}
	fd = static_name(h->path, name, sizeof(name)) ? static_open(root, name) : -1;
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
	{
		close(fd);
		fd = -1;
	}
	if (fd < 0)
	{
		static_error(h, 404, "");
		return;
	}
	snprintf(tag, sizeof(tag), "\"%llx-%llx.%lx\"", (unsigned long long) st.st_size,
			 (unsigned long long) st.st_mtim.tv_sec, (unsigned long) st.st_mtim.tv_nsec);
	strftime(modified, sizeof(modified), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&st.st_mtim.tv_sec, &tm));
	/* A cache asks each time and is answered 304: pages change when they are deployed. */
	snprintf(fields, sizeof(fields), "Cache-Control: no-cache\r\nETag: %s\r\nLast-Modified: %s\r\n"
			 "X-Content-Type-Options: nosniff\r\n", tag, modified);
	if (http_field(h, FIELD_IF_NONE_MATCH, wanted, sizeof(wanted)) && strcmp(wanted, tag) == 0)
	{
		close(fd);
		http_answer(h, 304, static_type(name), fields, slice(NULL, 0));
		return;
	}
	http_answer_file(h, static_type(name), fields, fd, (uint64_t) st.st_size);
}

/* "/a/b" becomes "a/b", and a folder its index.html.  False: a name that is not served. */
static bool
static_name(const char *path, char *name, size_t size)
{
	size_t		len = strlen(path);
	const char *index = len > 0 && path[len - 1] == '/' ? "index.html" : "";

	if (path[0] != '/' || strstr(path, "/.") != NULL)
		return false;
	return (size_t) snprintf(name, size, "%s%s", path + 1, index) < size;
}

static int
static_open(int root, const char *name)
{
	/* Non-blocking, or opening a FIFO would hang. */
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	return (int) syscall(SYS_openat2, root, name, &how, sizeof(how));
}

static const char *
static_type(const char *name)
{
	static const struct
	{
		const char *extension;
		const char *type;
	}			types[] = {
		{".html", "text/html; charset=UTF-8"},
		{".css", "text/css; charset=UTF-8"},
		{".js", "text/javascript; charset=UTF-8"},
		{".mjs", "text/javascript; charset=UTF-8"},
		{".json", "application/json"},
		{".map", "application/json"},
		{".txt", TYPE_PLAIN},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".jpg", "image/jpeg"},
		{".jpeg", "image/jpeg"},
		{".gif", "image/gif"},
		{".webp", "image/webp"},
		{".ico", "image/x-icon"},
		{".woff2", "font/woff2"},
		{".wasm", "application/wasm"},
		{".webmanifest", "application/manifest+json"},
	};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(dot, types[i].extension) == 0)
			return types[i].type;
	return "application/octet-stream";
}

static void
static_error(Http *h, int status, const char *fields)
{
	const char *text = status == 404 ? "Not found\n" : "Method not allowed\n";

	http_answer(h, status, TYPE_PLAIN, fields, slice_cstring(text));
}
