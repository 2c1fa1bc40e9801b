/* Test function: answers the event as it is, in the smallest possible runtime. Events up to 6 MiB.
 * With the handler "count" it tells how often it was called instead. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define API "/2018-06-01/runtime/"
#define MAX_MSG (7u << 20)

static char data[MAX_MSG + 1];

static int dial(const char *address)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	const char *colon = address ? strrchr(address, ':') : NULL;

	if (!colon || fd < 0)
		return -1;
	sin.sin_port = htons((unsigned short)atoi(colon + 1));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ? -1 : fd;
}

/* One answer; the body's length is returned, -1 at the end. */
static long receive(int fd, char **ret_body, char id[129])
{
	size_t len = 0;

	for (;;) {
		ssize_t n = len < MAX_MSG ? recv(fd, data + len, MAX_MSG - len, 0) : -1;
		char *end, *line;
		size_t need = 0;

		if (n <= 0)
			return -1;
		len += (size_t)n;
		data[len] = '\0';
		end = memmem(data, len, "\r\n\r\n", 4);
		if (!end)
			continue;
		for (line = data; line < end; line = strstr(line, "\r\n") + 2) {
			if (strncasecmp(line, "content-length:", 15) == 0)
				need = strtoul(line + 15, NULL, 10);
			if (strncasecmp(line, "lambda-runtime-aws-request-id: ", 31) == 0)
				snprintf(id, 129, "%.*s", (int)strcspn(line + 31, "\r"), line + 31);
		}
		if ((size_t)(data + len - end - 4) < need)
			continue;
		*ret_body = end + 4;
		return (long)need;
	}
}

/* How often this was called, by what memory and what the disk remember: both 1 in a pristine machine. */
static long count(char **ret_body)
{
	static char text[64];
	static int called;
	FILE *f = fopen("/tmp/count", "a");
	long size;

	if (!f || fputc('x', f) == EOF || fflush(f) == EOF)
		return -1;
	size = ftell(f);
	fclose(f);
	*ret_body = text;
	return snprintf(text, sizeof(text), "{\"memory\": %d, \"disk\": %ld}", ++called, size);
}

int main(void)
{
	static const char next[] = "GET " API "invocation/next HTTP/1.1\r\n\r\n";
	int fd = dial(getenv("AWS_LAMBDA_RUNTIME_API"));
	bool counts = strcmp(getenv("_HANDLER"), "count") == 0;
	char id[129], head[300], *body;
	long len;

	while (fd >= 0 && send(fd, next, sizeof(next) - 1, 0) > 0 && (len = receive(fd, &body, id)) >= 0) {
		if (counts)
			len = count(&body);
		if (len < 0)
			return 1;

		struct iovec iov[2] = {
			{head, (size_t)snprintf(head, sizeof(head),
						"POST " API "invocation/%s/response HTTP/1.1\r\nContent-Length: %ld\r\n\r\n",
						id, len)},
			{body, (size_t)len}};

		while (iov[1].iov_len || iov[0].iov_len) {
			ssize_t n = writev(fd, iov, 2);

			if (n < 0)
				return 1;
			for (int i = 0; i < 2; i++) {
				size_t k = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

				iov[i].iov_base = (char *)iov[i].iov_base + k;
				iov[i].iov_len -= k;
				n -= (ssize_t)k;
			}
		}
		if (receive(fd, &body, id) < 0)
			break;
	}
	return 1;
}
