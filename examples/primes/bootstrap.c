/* A function in C: counts the primes up to n. A static `bootstrap` on the runtime `provided` speaks
 * the Lambda Runtime API itself: ask for the next event, answer it, again. No library is needed.
 *
 *   curl -d 1000000 http://127.0.0.1:8080/function/primes        (or ?n=1000000) */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_N 5000000u

static char buf[65536];
static unsigned char composite[MAX_N + 1];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n <= 0)
			die("write");
		data += n;
		len -= (size_t)n;
	}
}

/* Reads one HTTP answer into buf; returns its body. The event must fit. */
static char *read_answer(int fd, char *id, size_t id_cap)
{
	size_t len = 0;
	char *body = NULL, *p;
	size_t want = 0;

	while (!body || (size_t)(buf + len - body) < want) {
		ssize_t n = len < sizeof(buf) - 1 ? read(fd, buf + len, sizeof(buf) - 1 - len) : -1;

		if (n <= 0)
			die("read");
		len += (size_t)n;
		buf[len] = '\0';
		if (body || !(p = strstr(buf, "\r\n\r\n")))
			continue;
		body = p + 4;
		for (char *line = strstr(buf, "\r\n"); line && line < p; line = strstr(line + 2, "\r\n")) {
			if (strncasecmp(line + 2, "content-length:", 15) == 0)
				want = strtoul(line + 17, NULL, 10);
			if (id && strncasecmp(line + 2, "lambda-runtime-aws-request-id:", 30) == 0)
				snprintf(id, id_cap, "%.*s", (int)strcspn(line + 33, "\r"), line + 33);
		}
	}
	return body;
}

static unsigned count_primes(unsigned n)
{
	unsigned count = 0;

	memset(composite, 0, n + 1);
	for (unsigned i = 2; i <= n; i++) {
		if (composite[i])
			continue;
		count++;
		for (unsigned long k = (unsigned long)i * i; k <= n; k += i)
			composite[k] = 1;
	}
	return count;
}

/* The number in the event: the bare event, "n=..." of a query, or the posted body. */
static unsigned long number_in(const char *event)
{
	const char *p = strstr(event, "\"rawQueryString\":\"n=");

	if (p)
		return strtoul(p + 20, NULL, 10);
	if ((p = strstr(event, "\"body\":\"")))
		return strtoul(p + 8, NULL, 10);
	if ((p = strstr(event, "\"n\":")))
		return strtoul(p + 4, NULL, 10);
	return strtoul(event, NULL, 10);
}

int main(void)
{
	const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
	struct sockaddr_in sa = {.sin_family = AF_INET};
	const char *colon = api ? strchr(api, ':') : NULL;
	char host[64], id[129], answer[256], head[512];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!colon) {
		fputs("AWS_LAMBDA_RUNTIME_API is not set: this program runs as a Lambda bootstrap\n", stderr);
		return 1;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(colon - api), api);
	sa.sin_port = htons((unsigned short)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &sa.sin_addr) != 1 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die(api);
	for (;;) {
		const char *next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n";
		unsigned long n;
		int len;

		send_all(fd, next, strlen(next));
		id[0] = '\0';
		n = number_in(read_answer(fd, id, sizeof(id)));
		if (n < 1 || n > MAX_N)
			len = snprintf(answer, sizeof(answer),
				       "{\"statusCode\": 400, \"body\": \"n must be 1 to %u\\n\"}", MAX_N);
		else
			len = snprintf(answer, sizeof(answer), "{\"n\": %lu, \"primes\": %u}", n,
				       count_primes((unsigned)n));
		snprintf(head, sizeof(head),
			 "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: runtime\r\n"
			 "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			 id, len);
		send_all(fd, head, strlen(head));
		send_all(fd, answer, (size_t)len);
		read_answer(fd, NULL, 0);
	}
}
