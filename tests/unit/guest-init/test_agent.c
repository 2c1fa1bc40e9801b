/* Whole sessions with the agent: it runs in a process of its own on a socket pair in place of
 * vsock, and starts a real runtime (the image's Python client with the probe function, or sh). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "guest-init/agent.h"

#define ID "req-1"

static struct agent agent;
static char secrets_folder[64];
static char script[256]; /* a bootstrap written by a test */
static char extension[300], extension_dir[256]; /* an extension, and its folder when a test wants it */
static const char *initialization; /* AWS_LAMBDA_INITIALIZATION_TYPE */
static bool with_extension;
static uint16_t http_port; /* of a function that is a web server */

static struct {
	int fd;
	pid_t pid;
	uint16_t port;
	char logs[2u << 20]; /* both descriptors, in order */
	size_t logs_len;
	char body[8u << 20]; /* RESPONSE bytes */
	size_t body_len;
	unsigned chunks;
	bool streamed;
	char type[GW_MAX_TYPE + 1];
	struct gw_header h; /* last frame */
	uint8_t frame[GW_MAX_FRAME];
} s;

/* A port nobody listens on just now. */
static uint16_t free_port(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	return ntohs(sin.sin_port);
}

/* Starts the agent in a process of its own. */
static void open_session(const char *bootstrap)
{
	int pair[2];

	memset(&s, 0, sizeof(s));
	s.port = free_port();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	s.fd = pair[0];
	s.pid = fork();
	assert_true(s.pid >= 0);
	if (s.pid == 0) {
		const char *paths[] = {"/nonexistent/bootstrap", bootstrap, NULL};
		struct bootstrap_conf boot = {.paths = paths, .task_dir = "/",
					      .extensions_dir = with_extension ? extension_dir : NULL};
		struct agent_conf conf = {
			.session_fd = pair[1], .api_port = s.port, .bootstrap = &boot, .secrets_folder = secrets_folder};
		int rc;

		close(pair[0]);
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		rc = agent_init(&agent, &conf);
		if (rc == 0)
			rc = agent_run(&agent);
		if (agent.pid > 0 && !agent.dead)
			kill(-agent.pid, SIGKILL);
		agent_fini(&agent);
		_exit(rc == 0 ? 0 : rc == -EPROTO ? 3 : rc == -EPIPE ? 4 : 5);
	}
	close(pair[1]);
}

/* Waits for the agent's end; its exit status. */
static int end_session(void)
{
	uint64_t deadline = stk_now_ns() + 10 * STK_NS_PER_S;
	int status;

	while (waitpid(s.pid, &status, WNOHANG) == 0) {
		struct timespec ts = {0, 1000000};

		if (stk_now_ns() > deadline) {
			kill(s.pid, SIGKILL);
			fail_msg("the agent does not end");
		}
		nanosleep(&ts, NULL);
	}
	close(s.fd);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void receive_exact(void *buf, size_t len)
{
	uint64_t deadline = stk_now_ns() + 20 * STK_NS_PER_S;
	uint8_t *p = buf;

	while (len) {
		struct pollfd pfd = {.fd = s.fd, .events = POLLIN};
		ssize_t n;

		if (stk_now_ns() > deadline)
			fail_msg("no frame within 20 s");
		if (poll(&pfd, 1, 100) <= 0)
			continue;
		n = read(s.fd, p, len);
		if (n <= 0)
			fail_msg("the agent closed the session");
		p += n;
		len -= (size_t)n;
	}
}

/* Next frame that is neither LOG nor a part of the answer before its last; those are collected. */
static unsigned receive(void)
{
	for (;;) {
		uint8_t head[GW_HEADER_LEN];

		receive_exact(head, sizeof(head));
		assert_int_equal(gw_header_decode(head, &s.h), 0);
		receive_exact(s.frame, s.h.length);
		if (s.h.type == GW_LOG) {
			assert_true(s.h.length >= 1 && (s.frame[0] == 1 || s.frame[0] == 2));
			assert_true(s.logs_len + s.h.length < sizeof(s.logs));
			memcpy(s.logs + s.logs_len, s.frame + 1, s.h.length - 1);
			s.logs_len += s.h.length - 1;
		} else if (s.h.type == GW_STREAM) {
			assert_int_equal(s.chunks, 0);
			assert_int_equal(gw_stream_decode(s.frame, s.h.length, s.type), 0);
			s.streamed = true;
		} else if (s.h.type == GW_RESPONSE) {
			memcpy(s.body + s.body_len, s.frame, s.h.length);
			s.body_len += s.h.length;
			s.chunks++;
			if (s.h.flags & GW_F_FIN)
				return GW_RESPONSE;
		} else {
			return s.h.type;
		}
	}
}

static void transmit(const uint8_t *buf, int len)
{
	assert_true(len > 0);
	assert_int_equal(stk_write_full(s.fd, buf, (size_t)len), 0);
}

static void send_start(const char *handler, uint32_t timeout_ms)
{
	static uint8_t buf[GW_HEADER_LEN + 65536];
	struct gw_start start = {.wall_ns = stk_wall_ns(), .init_timeout_ms = timeout_ms};
	const char *src = getenv("STOKER_SRC") ? getenv("STOKER_SRC") : ".";
	char cwd[1024], root[2048], task[2100], api[64];

	snprintf(root, sizeof(root), "%s%s%s", src[0] == '/' ? "" : getcwd(cwd, sizeof(cwd)),
		 src[0] == '/' ? "" : "/", src);
	snprintf(task, sizeof(task), "%s/tests/functions/probe", root);
	snprintf(api, sizeof(api), "127.0.0.1:%u", s.port);
	gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, "STOKER_SRC", root);
	gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, "LAMBDA_TASK_ROOT", task);
	gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, "AWS_LAMBDA_RUNTIME_API", api);
	gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, "AWS_LAMBDA_FUNCTION_NAME", "probe");
	gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, "_HANDLER", handler);
	gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, "PATH", "/usr/bin:/bin");
	gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, ".hostname", "must-not-be-in-env");
	gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, ".account", "111122223333");
	if (http_port) {
		static char port[8];

		snprintf(port, sizeof(port), "%u", http_port);
		gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, "PORT", port);
		gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, ".http_port", port);
		gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, ".http_ready", "/ready");
	}
	if (initialization) {
		gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, "AWS_LAMBDA_INITIALIZATION_TYPE", initialization);
		gw_kv_add(start.kv, GW_MAX_ENV, &start.kv_count, ".snapstart", "1");
	}
	transmit(buf, gw_start_encode(buf, sizeof(buf), &start));
}

static void send_event(const char *event, size_t len)
{
	static uint8_t buf[65536];
	struct gw_invoke inv = {.deadline_ms = stk_wall_ns() / STK_NS_PER_MS + 3000,
				.wall_ns = stk_wall_ns(),
				.request_id = ID,
				.request_id_len = sizeof(ID) - 1,
				.event = (const uint8_t *)event,
				.event_len = (uint32_t)len};

	struct iovec iov[2] = {{buf, 0}, {(void *)(uintptr_t)event, len}};
	int n;

	gw_kv_add(inv.kv, GW_MAX_KV, &inv.kv_count, "lambda-runtime-invoked-function-arn", "arn:probe");
	n = gw_invoke_encode(buf, sizeof(buf), &inv);
	assert_true(n > 0);
	iov[0].iov_len = (size_t)n;
	/* In one piece, as the host does: the agent may have ended the call before it has read a second one. */
	assert_int_equal(writev(s.fd, iov, 2), iov[0].iov_len + len);
}

static void send_empty(enum gw_type type)
{
	uint8_t buf[GW_HEADER_LEN];

	transmit(buf, gw_empty_encode(buf, sizeof(buf), type));
}

static void send_trim(void)
{
	uint8_t buf[GW_HEADER_LEN + 8];

	transmit(buf, gw_u64_encode(buf, sizeof(buf), GW_TRIM, 64 << 20));
}

static void expect_hello(void)
{
	uint8_t state;

	assert_int_equal(receive(), GW_HELLO);
	assert_int_equal(gw_hello_decode(s.frame, s.h.length, &state), 0);
	assert_int_equal(state, 0);
}

static const char *python_bootstrap(void)
{
	static char path[1200], full[PATH_MAX];
	const char *src = getenv("STOKER_SRC") ? getenv("STOKER_SRC") : ".";

	snprintf(path, sizeof(path), "%s/tests/unit/guest-init/bootstrap", src);
	return realpath(path, full);
}

/* Session up to READY with the probe function. */
static void ready(void)
{
	uint64_t init_ns;

	open_session(python_bootstrap());
	expect_hello();
	send_start("app.handler", 20000);
	assert_int_equal(receive(), GW_READY);
	assert_int_equal(gw_u64_decode(s.frame, s.h.length, &init_ns), 0);
	assert_in_range(init_ns, 1000000, 20 * STK_NS_PER_S);
}

static void call(const char *event)
{
	send_event(event, strlen(event));
}

static void expect_response(const char *json)
{
	assert_int_equal(receive(), GW_RESPONSE);
	s.body[s.body_len] = '\0';
	assert_string_equal(s.body, json);
	assert_int_equal(s.h.stream, 1);
}

static void expect_error(unsigned kind, int detail, const char *part)
{
	struct gw_error e;
	char body[65536 + 1];

	assert_int_equal(receive(), GW_ERROR);
	assert_int_equal(gw_error_decode(s.frame, s.h.length, &e), 0);
	memcpy(body, e.body, e.body_len);
	body[e.body_len] = '\0';
	assert_int_equal(e.kind, kind);
	assert_int_equal(e.detail, detail);
	if (part && !strstr(body, part))
		fail_msg("%s is not in %s", part, body);
}

static bool logged(const char *text)
{
	s.logs[s.logs_len] = '\0';
	return strstr(s.logs, text);
}

static void bye(void)
{
	send_empty(GW_BYE);
	assert_int_equal(end_session(), 0);
}

static void test_answer(void **state)
{
	ready();
	call("{\"do\": \"echo\", \"value\": {\"\xc3\xa4\": [1, 2.5, null, true]}}");
	expect_response("{\"\xc3\xa4\": [1, 2.5, null, true]}");
	assert_int_equal(s.chunks, 1);
	bye();
}

static void test_trim_resume_invoke(void **state)
{
	uint8_t buf[256];
	struct gw_resume resume = {.wall_ns = stk_wall_ns(), .hostname = "clone-1", .hostname_len = 7};
	uint64_t used;

	ready();
	send_trim();
	assert_int_equal(receive(), GW_TRIMMED);
	assert_int_equal(gw_u64_decode(s.frame, s.h.length, &used), 0);
	for (int i = 0; i < 3; i++) {
		if (i == 2) /* memory that comes with the clone; not answered */
			transmit(buf, gw_prefault_encode(buf, sizeof(buf), (struct gw_page_range[]){{1, 9}, {77, 1}}, 2));
		/* the Python client is sent over its own code and asks again */
		resume.how = i > 0 ? GW_RESUME_WARM_UP : GW_RESUME_TELL;
		transmit(buf, gw_resume_encode(buf, sizeof(buf), &resume));
		assert_int_equal(receive(), GW_RESUMED);
	}
	resume.how = GW_RESUME_QUIET;
	transmit(buf, gw_resume_encode(buf, sizeof(buf), &resume));
	call("{\"do\": \"count\"}");
	assert_int_equal(receive(), GW_RESPONSE);
	bye();
}

static void send_secrets(const struct gw_secrets *secrets)
{
	static uint8_t buf[GW_HEADER_LEN + 65536];

	transmit(buf, gw_secrets_encode(buf, sizeof(buf), secrets));
}

/* They are files before the clone says that it has resumed. */
static void test_secrets(void **state)
{
	struct gw_resume resume = {.wall_ns = stk_wall_ns(), .hostname = "clone-1", .hostname_len = 7};
	struct gw_secrets secrets = {.kv_count = 0};
	char path[128], *data;
	struct stat st;
	uint8_t buf[256];
	size_t len;

	strcpy(secrets_folder, "/tmp/test_agent.XXXXXX");
	assert_non_null(mkdtemp(secrets_folder));
	gw_kv_add(secrets.kv, GW_MAX_SECRETS, &secrets.kv_count, "DB_PASSWORD", "hunter2 = more\n");
	gw_kv_add(secrets.kv, GW_MAX_SECRETS, &secrets.kv_count, "empty", "");
	ready();
	send_secrets(&secrets);
	transmit(buf, gw_resume_encode(buf, sizeof(buf), &resume));
	assert_int_equal(receive(), GW_RESUMED);
	snprintf(path, sizeof(path), "%s/DB_PASSWORD", secrets_folder);
	assert_int_equal(stk_read_file(path, 100, &data, &len), 0);
	assert_string_equal(data, "hunter2 = more\n");
	free(data);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	unlink(path);
	snprintf(path, sizeof(path), "%s/empty", secrets_folder);
	assert_int_equal(unlink(path), 0);
	call("{\"do\": \"echo\", \"value\": 1}");
	expect_response("1");
	bye();
	rmdir(secrets_folder);
}

/* A function that lacks its secrets is not called. */
static void test_secrets_that_cannot_be_written(void **state)
{
	static const char *const names[] = {"../x", "a.b"};

	for (unsigned i = 0; i < 2; i++) {
		struct gw_secrets secrets = {.kv_count = 0};

		strcpy(secrets_folder, "/tmp");
		gw_kv_add(secrets.kv, GW_MAX_SECRETS, &secrets.kv_count, names[i], "1");
		ready();
		send_secrets(&secrets);
		call("{\"do\": \"echo\", \"value\": 1}");
		expect_error(GW_ERR_AGENT, 0, "secrets could not be written");
		bye();
	}
}

static void test_environment(void **state)
{
	ready();
	call("{\"do\": \"environment\"}");
	assert_int_equal(receive(), GW_RESPONSE);
	s.body[s.body_len] = '\0';
	assert_non_null(strstr(s.body, "\"AWS_LAMBDA_FUNCTION_NAME\": \"probe\""));
	assert_non_null(strstr(s.body, "\"aws_request_id\": \"" ID "\""));
	assert_non_null(strstr(s.body, "\"invoked_function_arn\": \"arn:probe\""));
	assert_null(strstr(s.body, "must-not-be-in-env"));
	bye();
}

static void test_large_both_ways(void **state)
{
	static char event[5u << 20];
	int n = sprintf(event, "{\"do\": \"size\", \"value\": \"");

	memset(event + n, 'v', sizeof(event) - 100);
	memcpy(event + n + sizeof(event) - 100, "\"}", 2);
	ready();
	send_event(event, (size_t)n + sizeof(event) - 98);
	expect_response("{\"length\": 5242780}");
	bye();
	ready();
	call("{\"do\": \"big\", \"size\": 6291556}");
	assert_int_equal(receive(), GW_RESPONSE);
	assert_int_equal(s.body_len, 6291556);
	bye();
	ready();
	call("{\"do\": \"big\", \"size\": 6291557}");
	expect_error(GW_ERR_TOO_LARGE, 0, NULL);
	bye();
}

static void test_logs_come_before_the_end(void **state)
{
	ready();
	call("{\"do\": \"log\", \"lines\": 300, \"line\": \"a line of output\", \"err\": \"the last words\"}");
	expect_response("{\"lines\": 300}");
	assert_true(logged("a line of output\na line of output\n"));
	assert_true(logged("the last words\n"));
	assert_int_equal(s.logs_len, 300 * 17 + 15);
	bye();
}

static void test_function_error(void **state)
{
	ready();
	call("{\"do\": \"raise\", \"message\": \"no \\\"such\\\" thing\"}");
	expect_error(GW_ERR_FUNCTION, 0, "\"errorMessage\": \"no \\\"such\\\" thing\", \"errorType\": \"ValueError\"");
	assert_true(logged("[ERROR] ValueError: no \"such\" thing"));
	bye();
	ready();
	call("{\"do\": \"unserialisable\"}");
	expect_error(GW_ERR_FUNCTION, 0, "Runtime.MarshalError");
	bye();
	ready();
	call("{not json");
	expect_error(GW_ERR_FUNCTION, 0, "Runtime.UnmarshalError");
	bye();
}

static void test_death_in_the_call(void **state)
{
	ready();
	call("{\"do\": \"exit\", \"status\": 7}");
	expect_error(GW_ERR_EXIT, 7, NULL);
	bye();
	ready();
	call("{\"do\": \"sysexit\", \"status\": 0}");
	expect_error(GW_ERR_EXIT, 0, NULL);
	bye();
	ready();
	call("{\"do\": \"signal\", \"signal\": \"SIGSEGV\"}");
	expect_error(GW_ERR_SIGNAL, SIGSEGV, NULL);
	bye();
}

static void test_init_errors(void **state)
{
	static const struct {
		const char *handler, *part;
	} cases[] = {
		{"nosuch.handler", "\"errorType\": \"Runtime.ImportModuleError\""},
		{"app.nosuch", "\"errorType\": \"Runtime.HandlerNotFound\""},
		{"app", "\"errorType\": \"Runtime.MalformedHandlerName\""},
	};

	for (unsigned i = 0; i < 3; i++) {
		open_session(python_bootstrap());
		expect_hello();
		send_start(cases[i].handler, 20000);
		expect_error(GW_ERR_INIT, 0, cases[i].part);
		assert_int_equal(s.h.stream, 0);
		bye();
	}
}

/* A bootstrap in sh. */
static const char *sh(const char *text)
{
	char all[1024];
	int n = snprintf(all, sizeof(all), "#!/bin/sh\n%s\n", text);

	assert_int_equal(stk_write_file_atomic(script, all, (size_t)n, 0755), 0);
	return script;
}

static void start_sh(const char *text, uint32_t timeout_ms)
{
	open_session(sh(text));
	expect_hello();
	send_start("x", timeout_ms);
}

static void test_death_in_init(void **state)
{
	start_sh("echo starting; echo trouble >&2; exit 3", 0);
	expect_error(GW_ERR_EXIT, 3, NULL);
	assert_true(logged("starting\n"));
	assert_true(logged("trouble\n"));
	bye();
	start_sh("kill -ABRT $$", 0);
	expect_error(GW_ERR_SIGNAL, SIGABRT, NULL);
	bye();
}

static void test_init_timeout(void **state)
{
	uint64_t t0;

	t0 = stk_now_ns();
	start_sh("echo waiting; sleep 100", 300);
	expect_error(GW_ERR_INIT_TIMEOUT, 0, NULL);
	assert_in_range(stk_now_ns() - t0, 300 * STK_NS_PER_MS, 5 * STK_NS_PER_S);
	assert_true(logged("waiting"));
	bye();
}

static void test_no_bootstrap(void **state)
{
	open_session("/nonexistent/too");
	expect_hello();
	send_start("x", 0);
	expect_error(GW_ERR_ENTRYPOINT, ENOENT, "/nonexistent/too");
	bye();
	sh("exit 0");
	assert_int_equal(chmod(script, 0644), 0);
	open_session(script);
	expect_hello();
	send_start("x", 0);
	expect_error(GW_ERR_ENTRYPOINT, EACCES, "ermission");
	bye();
	assert_int_equal(stk_write_file_atomic(script, "\x7f" "ELFbad", 7, 0755), 0);
	open_session(script);
	expect_hello();
	send_start("x", 0);
	expect_error(GW_ERR_ENTRYPOINT, ENOEXEC, "Exec format");
	bye();
}

/* More output than the host should get: cut, and said so; the function lives. */
static void test_flood_of_output(void **state)
{
	ready();
	call("{\"do\": \"log\", \"lines\": 1, \"line\": \"short\"}");
	expect_response("{\"lines\": 1}");
	bye();
	start_sh("head -c 20000000 /dev/zero | tr '\\0' x; exit 5", 20000);
	/* receive() collects at most 2 MiB, so count here */
	for (;;) {
		uint8_t head[GW_HEADER_LEN];

		receive_exact(head, sizeof(head));
		assert_int_equal(gw_header_decode(head, &s.h), 0);
		receive_exact(s.frame, s.h.length);
		if (s.h.type != GW_LOG)
			break;
		s.body_len += s.h.length - 1;
		if (memmem(s.frame, s.h.length, "bytes of output dropped", 23))
			s.chunks++;
	}
	assert_int_equal(s.h.type, GW_ERROR);
	assert_true(s.chunks >= 1);
	assert_in_range(s.body_len, LOGS_BURST, 19000000);
	bye();
}

static void test_streams(void **state)
{
	ready();
	call("{\"do\": \"stream\", \"pieces\": [\"one \", \"\", \"\xc3\xa4\"]}");
	expect_response("one \xc3\xa4");
	assert_true(s.streamed);
	assert_string_equal(s.type, "application/octet-stream");
	bye();
	ready();
	call("{\"do\": \"stream\", \"pieces\": [{\"statusCode\": 201}, \"x\"]}");
	assert_int_equal(receive(), GW_RESPONSE);
	assert_string_equal(s.type, "application/vnd.awslambda.http-integration-response");
	assert_int_equal(s.body_len, 19 + 8 + 1);
	assert_memory_equal(s.body, "{\"statusCode\": 201}\0\0\0\0\0\0\0\0x", 19 + 9);
	bye();
	ready();
	call("{\"do\": \"stream\", \"pieces\": [\"some\"], \"fail\": \"late\"}");
	expect_error(GW_ERR_FUNCTION, 0, "\"errorMessage\": \"late\"");
	assert_int_equal(s.body_len, 4);
	assert_true(logged("[ERROR] ValueError: late"));
	bye();
	ready();
	call("{\"do\": \"stream\", \"pieces\": [], \"fail\": \"at once\"}");
	expect_error(GW_ERR_FUNCTION, 0, "\"errorMessage\": \"at once\"");
	assert_false(s.streamed); /* an ordinary failure */
	bye();
}

/* Initialization type snap-start: the Python client waits in restore/next, and its hooks run before RESUMED. */
static void test_restore_next(void **state)
{
	struct gw_resume resume = {.wall_ns = stk_wall_ns(), .hostname = "c", .hostname_len = 1};
	uint8_t buf[256];

	initialization = "snap-start";
	for (int how = 0; how < 3; how++) {
		ready();
		send_trim();
		assert_int_equal(receive(), GW_TRIMMED);
		resume.how = how == 1 ? GW_RESUME_QUIET : GW_RESUME_WARM_UP;
		if (how < 2) /* else it is a machine that was no snapshot */
			transmit(buf, gw_resume_encode(buf, sizeof(buf), &resume));
		if (how == 0)
			assert_int_equal(receive(), GW_RESUMED);
		call("{\"do\": \"echo\", \"value\": 5}");
		expect_response("5");
		bye();
	}
	initialization = NULL;
}

static void write_extension(const char *events, const char *end)
{
	char text[2048];
	int n = snprintf(text, sizeof(text),
			 "#!/usr/bin/python3\n"
			 "import json, os, sys, urllib.request\n"
			 "base = 'http://%%s/2020-01-01/extension/' %% os.environ['AWS_LAMBDA_RUNTIME_API']\n"
			 "def ask(path, body=None, **headers):\n"
			 "    h = {k.replace('_', '-'): v for k, v in headers.items()}\n"
			 "    return urllib.request.urlopen(urllib.request.Request(base + path, body, h))\n"
			 "a = ask('register', b'{\"events\": %s}', Lambda_Extension_Name='ext-a',\n"
			 "        Lambda_Extension_Accept_Feature='accountId')\n"
			 "me = a.headers['Lambda-Extension-Identifier']\n"
			 "a = json.load(a)\n"
			 "print('registered', a['functionName'], a['accountId'], flush=True)\n"
			 "while True:\n"
			 "    event = json.load(ask('event/next', Lambda_Extension_Identifier=me))\n"
			 "    print('got', event['eventType'], event.get('shutdownReason', event.get('requestId')), flush=True)\n"
			 "    %s\n",
			 events, end);

	assert_true(n < (int)sizeof(text));
	assert_int_equal(stk_write_file_atomic(extension, text, (size_t)n, 0755), 0);
}

/* What is logged behind the answer comes until the agent says BYE; the host's part is to end the machine then. */
static void until_the_end(void)
{
	uint8_t head[GW_HEADER_LEN];

	for (;;) {
		receive_exact(head, sizeof(head));
		assert_int_equal(gw_header_decode(head, &s.h), 0);
		if (s.h.type == GW_BYE)
			break;
		assert_int_equal(s.h.type, GW_LOG);
		receive_exact(s.frame, s.h.length);
		memcpy(s.logs + s.logs_len, s.frame + 1, s.h.length - 1);
		s.logs_len += s.h.length - 1;
	}
	assert_int_equal(s.h.length, 0);
	send_empty(GW_BYE);
}

static void test_external_extension(void **state)
{
	uint64_t begin;

	with_extension = true;
	write_extension("[\"INVOKE\", \"SHUTDOWN\"]", "event['eventType'] == 'SHUTDOWN' and sys.exit(0)");
	ready();
	assert_true(logged("registered probe 111122223333\n")); /* before the runtime was started, even */
	call("{\"do\": \"echo\", \"value\": 6}");
	expect_response("6");
	assert_true(s.h.flags & GW_F_LINGER);
	begin = stk_now_ns();
	until_the_end();
	assert_true(stk_now_ns() - begin < 1900 * STK_NS_PER_MS); /* it need not use its whole time */
	assert_true(logged("got INVOKE req-1\n"));
	assert_true(logged("got SHUTDOWN SPINDOWN\n"));
	assert_int_equal(end_session(), 0);

	/* One that does not end is not waited for longer than its budget. */
	write_extension("[\"SHUTDOWN\"]", "import signal; signal.pause()");
	ready();
	call("{\"do\": \"exit\", \"status\": 1}");
	expect_error(GW_ERR_EXIT, 1, NULL);
	begin = stk_now_ns();
	until_the_end();
	assert_in_range(stk_now_ns() - begin, 1500 * STK_NS_PER_MS, 8 * STK_NS_PER_S);
	assert_true(logged("got SHUTDOWN FAILURE\n"));
	assert_int_equal(end_session(), 0);

	/* The call's time is up. One that is at work still is told when it asks for its next event, and once. */
	write_extension("[\"INVOKE\", \"SHUTDOWN\"]",
			"import time; time.sleep(0.6) if event['eventType'] == 'INVOKE' else None");
	ready();
	assert_true(s.h.flags & GW_F_LINGER);
	call("{\"do\": \"sleep\", \"seconds\": 20}");
	send_empty(GW_EXPIRED);
	begin = stk_now_ns();
	until_the_end();
	assert_in_range(stk_now_ns() - begin, 1500 * STK_NS_PER_MS, 8 * STK_NS_PER_S);
	assert_true(logged("got INVOKE req-1\n"));
	assert_true(logged("got SHUTDOWN TIMEOUT\n"));
	assert_null(strstr(strstr(s.logs, "SHUTDOWN") + 1, "SHUTDOWN"));
	assert_int_equal(end_session(), 0);

	/* Crashes: while it runs, and before it has registered. */
	write_extension("[\"INVOKE\"]", "os._exit(3)");
	ready();
	call("{\"do\": \"sleep\", \"seconds\": 20}");
	expect_error(GW_ERR_FUNCTION, 0,
		     "\"errorType\":\"Extension.Crash\",\"errorMessage\":\"RequestId: req-1 Error: exit code 3\"");
	until_the_end();
	assert_int_equal(end_session(), 0);
	assert_int_equal(stk_write_file_atomic(extension, "#!/bin/sh\nexit 4\n", 17, 0755), 0);
	open_session(python_bootstrap());
	expect_hello();
	send_start("app.handler", 20000);
	expect_error(GW_ERR_INIT, 0, "Error: exit code 4");
	bye();
	assert_int_equal(unlink(extension), 0);
	with_extension = false;
}

static void start_web(void)
{
	static const char text[] =
		"#!/usr/bin/python3\n"
		"import http.server, json, os, time\n"
		"begin = time.time()\n"
		"class H(http.server.BaseHTTPRequestHandler):\n"
		"    protocol_version = 'HTTP/1.1'\n"
		"    def log_message(self, *a): pass\n"
		"    def answer(self, status, body, **headers):\n"
		"        self.send_response(status)\n"
		"        for k, v in headers.items(): self.send_header(k.replace('_', '-'), v)\n"
		"        self.send_header('Content-Length', str(len(body)))\n"
		"        self.end_headers()\n"
		"        self.wfile.write(body)\n"
		"    def do_GET(self):\n"
		"        if self.path == '/ready': return self.answer(200 if time.time() > begin + 0.2 else 503, b'')\n"
		"        if self.path == '/exit': os._exit(9)\n"
		"        if self.path == '/cut':\n"
		"            self.send_response(200); self.send_header('Content-Length', '9'); self.end_headers()\n"
		"            self.wfile.write(b'half'); self.close_connection = True; return\n"
		"        if self.path == '/chunks':\n"
		"            self.send_response(200); self.send_header('Transfer-Encoding', 'chunked'); self.end_headers()\n"
		"            for i in range(200): self.wfile.write(b'8000\\r\\n' + b'x' * 32768 + b'\\r\\n')\n"
		"            return self.wfile.write(b'0\\r\\n\\r\\n')\n"
		"        self.answer(203, self.path.encode(), X_Method='GET', Set_Cookie='a=b')\n"
		"    def do_POST(self):\n"
		"        body = self.rfile.read(int(self.headers['Content-Length']))\n"
		"        self.answer(200, json.dumps([self.path, self.headers['x-one'], body.decode()]).encode())\n"
		"print('listening', flush=True)\n"
		"http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";

	assert_int_equal(stk_write_file_atomic(script, text, sizeof(text) - 1, 0755), 0);
	http_port = free_port();
	open_session(script);
	expect_hello();
	send_start("http", 20000);
	assert_int_equal(receive(), GW_READY);
	http_port = 0;
}

#define EVENT(method, path, more) \
	"{\"rawPath\":\"" path "\",\"requestContext\":{\"http\":{\"method\":\"" method "\"}}" more "}"

static void test_web_server(void **state)
{
	static const char type[] = "application/vnd.awslambda.http-integration-response";

	start_web();
	call(EVENT("GET", "/some/where", ",\"rawQueryString\":\"q=1\""));
	assert_int_equal(receive(), GW_RESPONSE);
	assert_string_equal(s.type, type);
	s.body[s.body_len] = '\0';
	assert_memory_equal(s.body, "{\"statusCode\":203,\"headers\":{", 29);
	assert_non_null(strstr(s.body, "\"X-Method\":\"GET\""));
	assert_non_null(strstr(s.body, "\"cookies\":[\"a=b\"]}"));
	assert_int_equal(strlen(s.body) + 8 + 15, s.body_len);
	assert_memory_equal(s.body + s.body_len - 15, "/some/where?q=1", 15);
	bye();

	start_web();
	call(EVENT("POST", "/p", ",\"headers\":{\"x-one\":\"1\"},\"body\":\"aGVsbG8=\",\"isBase64Encoded\":true"));
	assert_int_equal(receive(), GW_RESPONSE);
	assert_non_null(memmem(s.body, s.body_len, "[\"/p\", \"1\", \"hello\"]", 20));
	bye();

	start_web(); /* any other event: what comes back is the result */
	call("{\"k\": 1}");
	expect_response("[\"/events\", null, \"{\\\"k\\\": 1}\"]");
	assert_false(s.streamed);
	bye();

	start_web();
	call(EVENT("GET", "/chunks", ""));
	assert_int_equal(receive(), GW_RESPONSE);
	assert_true(s.body_len > 200 * 32768);
	assert_true(s.chunks > 100);
	bye();
}

static void test_web_server_that_fails(void **state)
{
	start_web();
	call(EVENT("GET", "/exit", ""));
	expect_error(GW_ERR_EXIT, 9, NULL);
	bye();
	start_web();
	call(EVENT("GET", "/cut", ""));
	expect_error(GW_ERR_FUNCTION, 0, "Runtime.TruncatedResponse");
	bye();
	start_web();
	call("{\"k\": 1"); /* not JSON */
	expect_error(GW_ERR_FUNCTION, 0, "Web.BadEvent");
	bye();
	http_port = free_port(); /* one that never listens */
	start_sh("sleep 100", 500);
	expect_error(GW_ERR_INIT_TIMEOUT, 0, NULL);
	bye();
	http_port = 0;
}

static void test_host_breaks_the_rules(void **state)
{
	uint8_t junk[GW_HEADER_LEN] = "this is no frame...";

	open_session(script);
	expect_hello();
	transmit(junk, sizeof(junk));
	assert_int_equal(end_session(), 3);

	open_session(script);
	expect_hello();
	send_trim(); /* before START */
	assert_int_equal(end_session(), 3);

	ready();
	send_start("app.handler", 0); /* twice */
	assert_int_equal(end_session(), 3);
}

static void test_host_goes_away(void **state)
{
	ready();
	call("{\"do\": \"sleep\", \"seconds\": 60}");
	assert_int_equal(shutdown(s.fd, SHUT_RDWR), 0);
	assert_int_equal(end_session(), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_trim_resume_invoke),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_secrets_that_cannot_be_written),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_large_both_ways),
		cmocka_unit_test(test_logs_come_before_the_end),
		cmocka_unit_test(test_function_error),
		cmocka_unit_test(test_death_in_the_call),
		cmocka_unit_test(test_init_errors),
		cmocka_unit_test(test_death_in_init),
		cmocka_unit_test(test_init_timeout),
		cmocka_unit_test(test_no_bootstrap),
		cmocka_unit_test(test_flood_of_output),
		cmocka_unit_test(test_web_server),
		cmocka_unit_test(test_web_server_that_fails),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_restore_next),
		cmocka_unit_test(test_external_extension),
		cmocka_unit_test(test_host_breaks_the_rules),
		cmocka_unit_test(test_host_goes_away),
	};
	char dir[] = "/tmp/stoker-test-agent-XXXXXX";
	int rc;

	if (!mkdtemp(dir))
		return 1;
	snprintf(script, sizeof(script), "%s/bootstrap", dir);
	snprintf(extension_dir, sizeof(extension_dir), "%s/extensions", dir);
	snprintf(extension, sizeof(extension), "%s/ext-a", extension_dir);
	if (mkdir(extension_dir, 0755))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(script);
	unlink(extension);
	rmdir(extension_dir);
	rmdir(dir);
	return rc;
}
