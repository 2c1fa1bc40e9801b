/* A stokerd for tests: see host_fixture.h. */
#include "tests/unit/scheduler/host_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "scheduler/auth/sigv4.h"
#include "scheduler/daemon.h"
#include "scheduler/fsx.h"
#include "scheduler/pool.h"
#include "scheduler/store.h"
#include "snapshots/catalog.h"
#include "snapshots/manifest.h"
#include "snapshots/memfile.h"
#include "snapshots/snapfile.h"
#include "snapshots/state.h"
#include "snapshots/workingset.h"
#include "tests/unit/unit.h"

#define WAIT_NS (20 * STK_NS_PER_S)

char host_root[64];
pid_t host_pid;

char host_target[128];
static char self[512];

static void path_of(char *ret, size_t cap, const char *leaf)
{
	snprintf(ret, cap, "%s/%s", host_root, leaf);
}

void host_touch(const char *leaf)
{
	char path[256];

	path_of(path, sizeof(path), leaf);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

void host_unlink(const char *leaf)
{
	char path[256];

	path_of(path, sizeof(path), leaf);
	unlink(path);
}

static void wait_for_go(void)
{
	char path[256];

	path_of(path, sizeof(path), "go");
	while (access(path, F_OK))
		usleep(2000);
}

/* --- the guest's side --------------------------------------------------------------------------------- */

void host_guest_send(unsigned type, uint32_t flags, const void *payload, size_t len)
{
	struct gw_header h = {.type = (uint16_t)type, .flags = flags, .stream = type != GW_RESUMED && type != GW_BYE,
			      .length = (uint32_t)len};
	uint8_t head[GW_HEADER_LEN];

	gw_header_encode(head, &h);
	if (stk_write_full(3, head, sizeof(head)) || stk_write_full(3, payload, len))
		_exit(0);
}

uint8_t *host_guest_read(struct gw_header *h)
{
	uint8_t head[GW_HEADER_LEN], *payload;

	if (stk_read_full(3, head, sizeof(head)) || gw_header_decode(head, h))
		_exit(0);
	payload = calloc(1, h->length + 1);
	if (!payload || stk_read_full(3, payload, h->length))
		_exit(0);
	return payload;
}

/* HOST_LOUD_LINES lines of HOST_LOUD_LEN bytes with their end, each with its number. */
static void be_loud(void)
{
	char frame[1 + 12 * HOST_LOUD_LEN];
	int n = 0;

	memset(frame, 'x', sizeof(frame));
	frame[0] = 1;
	while (n < HOST_LOUD_LINES) {
		char *line = frame + 1;

		for (; line < frame + sizeof(frame); line += HOST_LOUD_LEN) {
			line[sprintf(line, "loud %d ", n++)] = 'x';
			line[HOST_LOUD_LEN - 1] = '\n';
		}
		host_guest_send(GW_LOG, 0, frame, sizeof(frame));
	}
}

void host_guest_error(uint16_t kind, int32_t detail, const char *body)
{
	struct gw_error e = {.kind = kind, .detail = detail, .body = body, .body_len = (uint32_t)strlen(body)};
	uint8_t buf[512];
	int n = gw_error_encode(buf, sizeof(buf), &e);

	stk_write_full(3, buf, (size_t)n);
}

/* One of the headers that the runtime would get: a JSON text; in the log as well. */
static void send_header(const struct gw_invoke *inv, const char *key)
{
	char text[512] = "null", line[600];

	for (unsigned i = 0; i < inv->kv_count; i++) {
		const struct gw_kv *kv = &inv->kv[i];

		if (kv->key_len == strlen(key) && memcmp(kv->key, key, kv->key_len) == 0)
			snprintf(text, sizeof(text), "\"%.*s\"", (int)kv->value_len, kv->value);
	}
	snprintf(line, sizeof(line), "\1%s %s\n", key, text);
	host_guest_send(GW_LOG, 0, line, strlen(line));
	host_guest_send(GW_RESPONSE, GW_F_FIN, text, strlen(text));
}

static void send_answer(const uint8_t *data, size_t len)
{
	for (; len > GW_MAX_CHUNK; data += GW_MAX_CHUNK, len -= GW_MAX_CHUNK)
		host_guest_send(GW_RESPONSE, 0, data, GW_MAX_CHUNK);
	host_guest_send(GW_RESPONSE, GW_F_FIN, data, len);
}

static void be_extended(void)
{
	static const char said[] = "\1behind the answer\nand the last";

	host_guest_send(GW_RESPONSE, GW_F_FIN | GW_F_LINGER, "1", 1);
	host_guest_send(GW_LOG, 0, said, sizeof(said) - 1);
	host_guest_send(GW_BYE, 0, "", 0);
}

static void be_guest(int argc, char **argv)
{
	struct gw_header h = {0};
	struct gw_invoke inv;
	char text[256] = "";
	uint8_t *p;

	stk_write_full(4, "running 1\n", 10);
	do { /* one that waits in a pool may be told which pages it will use */
		p = host_guest_read(&h);
		if (h.type == GW_RESUME)
			host_guest_send(GW_RESUMED, 0, "", 0);
	} while (h.type != GW_INVOKE);
	if (gw_invoke_decode(p, h.length, &inv))
		_exit(2);
	memcpy(text, inv.event, inv.event_len < sizeof(text) - 1 ? inv.event_len : sizeof(text) - 1);
	host_guest_send(GW_LOG, 0, "\1a line of output\n", 18);
	if (strstr(text, "be-held"))
		wait_for_go();
	if (strstr(text, "be-loud"))
		be_loud();
	if (strstr(text, "be-slow"))
		pause();
	else if (strstr(text, "be-dead"))
		raise(SIGKILL);
	else if (strstr(text, "be-arn"))
		send_header(&inv, "lambda-runtime-invoked-function-arn");
	else if (strstr(text, "be-tenant"))
		send_header(&inv, "lambda-runtime-aws-tenant-id");
	else if (strstr(text, "be-extended"))
		be_extended();
	else if (strstr(text, "be-error"))
		host_guest_error(GW_ERR_FUNCTION, 0, "{\"errorType\":\"E\",\"errorMessage\":\"m \xc3\xbc \xe6\xbc\xa2\"}");
	else
		send_answer(inv.event, inv.event_len);
	pause();
	_exit(0);
}

/* --- stoker-snapshot create ------------------------------------------------------------------------------ */

#define RAM (16u * SNAP_PAGE)

static int write_memory_and_state(const char *dir, struct snap_manifest *m, struct stk_err *err)
{
	uint8_t *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct snap_source src = {.base = ram, .length = RAM, .backing_fd = -1};
	struct snap_memory mem = {.count = 1, .region[0].length = RAM};
	struct snap_runs runs = {0};
	struct snap_writer w;
	char path[512];
	int rc;

	memset(ram + SNAP_PAGE, 0x5a, SNAP_PAGE);
	snprintf(path, sizeof(path), "%s/memory", dir);
	rc = snap_memfile_write(path, &src, 1, &runs, err);
	strcpy(mem.region[0].id, "ram");
	rc = rc ? rc : snap_writer_init(&w, err);
	if (rc)
		return rc;
	snap_memory_encode(&mem, snap_writer_begin(&w, SNAP_SECTION_MEMORY, 0));
	rc = snap_writer_end(&w, err);
	snap_runs_encode(&runs, snap_writer_begin(&w, SNAP_SECTION_RUNS, 0));
	rc = rc ? rc : snap_writer_end(&w, err);
	snprintf(path, sizeof(path), "%s/state", dir);
	rc = rc ? rc : snap_writer_commit(&w, path, err);
	snap_writer_fini(&w);
	m->memory_total_bytes = runs.total_size;
	m->memory_data_bytes = runs.data_size;
	snap_runs_fini(&runs);
	return rc;
}

static int make_snapshot(const char *out, const char *rootfs, const char *scratch_mib)
{
	struct snap_manifest m = {.function = "f", .version = "1", .handler = "h", .vcpu_count = 1, .mem_size_mib = 128,
				  .scratch_mib = (unsigned)atoi(scratch_mib), .boot_args = "quiet", .created_ms = 1};
	struct snap_workingset ws = {0};
	struct stk_err err = {0};
	char path[512], *text = NULL;
	size_t len = 0;
	int rc = mkdir(out, 0750) ? -errno : write_memory_and_state(out, &m, &err);

	rc = rc ? rc : snap_manifest_file_stat(rootfs, &m.input[SNAP_INPUT_ROOTFS], &err);
	snap_manifest_host(&m);
	rc = rc ? rc : snap_manifest_encode(&m, &text, &len, &err);
	snprintf(path, sizeof(path), "%s/manifest.json", out);
	rc = rc ? rc : stk_write_file_atomic(path, text, len, 0644);
	free(text);
	snprintf(path, sizeof(path), "%s/working-set", out);
	rc = rc ? rc : snap_workingset_write(path, &ws, &err);
	rc = rc ? rc : snap_catalog_write_checksums(out, &err);
	if (rc)
		fprintf(stderr, "%s\n", err.text);
	return rc ? 1 : 0;
}

static const char *argument(int argc, char **argv, const char *name)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	}
	return "";
}

static bool asks(const char *env, size_t len, const char *word)
{
	return memmem(env, len, word, strlen(word));
}

static int be_snapshot(int argc, char **argv)
{
	const char *account = argument(argc, argv, "--account");
	char *env = NULL, *word, path[256];
	size_t len = 0;

	path_of(path, sizeof(path), "account");
	if (stk_write_file_atomic(path, account, strlen(account), 0644))
		return 1;
	if (stk_read_file(argument(argc, argv, "--env-file"), 65536, &env, &len))
		return 1;
	if (asks(env, len, "be-held"))
		wait_for_go();
	if (asks(env, len, "be-killed"))
		raise(SIGKILL);
	if (asks(env, len, "be-broken")) { /* what comes of it must be cut somewhere */
		printf("{\"errorType\":\"Runtime.Oops\",\"errorMessage\":\"m");
		for (int i = 0; i < 200; i++)
			printf("\u00fc\u6f22");
		printf("\"}\n{\"status\":\"error\",\"durationUs\":206715}\n");
		free(env);
		return fflush(stdout) ? 1 : 3;
	}
	word = memmem(env, len, "be-typed ", 9);
	if (word) {
		printf("{\"errorType\":\"%s\",\"errorMessage\":\"m\"}\n", word + 9);
		free(env);
		return fflush(stdout) ? 1 : 3;
	}
	if (asks(env, len, "be-odd")) {
		printf("{\"errorType\":\"E\\nREPORT RequestId: none\",\"errorMessage\":\"m\"}\n");
		free(env);
		return fflush(stdout) ? 1 : 3;
	}
	if (asks(env, len, "be-late")) {
		fprintf(stderr, "still at it\n");
		printf("{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"Task timed out\"}\n"
		       "{\"status\":\"timeout\",\"durationUs\":10000020}\n");
		free(env);
		return fflush(stdout) ? 1 : 3;
	}
	free(env);
	return make_snapshot(argument(argc, argv, "--out"), argument(argc, argv, "--rootfs"),
			     argument(argc, argv, "--scratch-size"));
}

void host_play(int argc, char **argv)
{
	host_play_guest(argc, argv, be_guest);
}

void host_play_guest(int argc, char **argv, void (*guest)(int argc, char **argv))
{
	const char *slash = strrchr(argv[0], '/');
	ssize_t n;

	if (slash)
		snprintf(host_root, sizeof(host_root), "%.*s", (int)(slash - argv[0]), argv[0]);
	if (slash && (strcmp(slash, "/stoker-vmm") == 0 || strcmp(slash, "/stoker-snapshot") == 0)) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* as the real ones do */
		if (getppid() == 1)
			_exit(0);
	}
	if (slash && strcmp(slash, "/stoker-vmm") == 0) {
		guest(argc, argv);
		_exit(0);
	}
	if (slash && strcmp(slash, "/stoker-snapshot") == 0)
		exit(be_snapshot(argc, argv));
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		exit(77);
	self[n] = '\0';
}

/* --- the host ---------------------------------------------------------------------------------------------- */

int host_make(void)
{
	static const char *const programs[] = {"stoker-vmm", "stoker-snapshot"};
	char path[256];

	strcpy(host_root, "/tmp/stoker-host-XXXXXX");
	if (!mkdtemp(host_root))
		return -1;
	snprintf(host_target, sizeof(host_target), "unix:%s/http", host_root);
	for (size_t i = 0; i < STK_ARRAY_LEN(programs); i++) {
		path_of(path, sizeof(path), programs[i]);
		if (symlink(self, path))
			return -1;
	}
	host_touch("python3.img");
	return 0;
}

void host_commit(struct store_tx *tx)
{
	char path[256];
	struct stk_err err = {0};
	struct store *st;

	path_of(path, sizeof(path), "stoker.db");
	assert_int_equal(store_open(path, &st, &err), 0);
	assert_int_equal(store_commit(st, tx, &err), 0);
	store_tx_free(tx);
	store_close(st);
}

void host_add_function(const char *name)
{
	host_add_function_of(name, 128, 3);
}

void host_add_function_of(const char *name, unsigned memory_mib, unsigned timeout_s)
{
	struct function fn = {.reserved = -1};
	struct fn_version v = {.fn = &fn, .number = 1, .state = FN_ACTIVE, .created_ms = 1};
	struct store_tx *tx = store_tx_new();
	char path[256];

	strcpy(fn.name, name);
	strcpy(v.settings.runtime, "python3");
	strcpy(v.settings.handler, "a.b");
	strcpy(v.revision, "00000000-0000-4000-8000-000000000001");
	v.settings.memory_mib = memory_mib;
	v.settings.timeout_s = timeout_s;
	v.settings.storage_mib = 512;
	store_tx_version(tx, &v);
	store_tx_function(tx, &fn, 1, 1, 0);
	host_commit(tx);
	snprintf(path, sizeof(path), "%s/functions/%s/1", host_root, name);
	assert_int_equal(fsx_mkdirs(path, 0755), 0);
}

static void run_host(const char *const *extra)
{
	static struct options o;
	static struct daemon d;
	struct stk_err err = {0};
	int code;

	options_default(&o);
	strcpy(o.state_dir, host_root);
	strcpy(o.bin_dir, host_root);
	strcpy(o.images_dir, host_root);
	o.shells = 0;
	o.listen_unix = true;
	snprintf(o.listen_host, sizeof(o.listen_host), "%s/http", host_root);
	o.log_level = STK_LOG_ERROR;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGSEGV, SIG_DFL); /* cmocka's would go on with the test in this process */
	signal(SIGABRT, SIG_DFL);
	for (; extra && extra[0]; extra += 2) {
		if (options_set(&o, extra[0], extra[1], &err))
			_exit(9);
	}
	stk_log_set_level(o.log_level);
	if (options_complete(&o, &err) || daemon_init(&d, &o, &err)) {
		fprintf(stderr, "%s\n", err.text);
		_exit(8);
	}
	REGISTRY_FOREACH(&d.registry, fn) {
		if (!fn->active || host_has("functions/%s/%u/snapshot/checksums", fn->name, fn->active->number))
			continue;
		fn->active->check = FN_GOOD; /* there is nothing to check */
		dispatch_touch(fn->active->pool, 0);
	}
	code = daemon_run(&d);
	daemon_fini(&d);
	exit(code); /* with the sanitizers' leak check */
}

void host_start(const char *const *extra)
{
	struct http_client_resp r;
	uint64_t until = stk_now_ns() + WAIT_NS;

	host_pid = fork();
	assert_true(host_pid >= 0);
	if (host_pid == 0)
		run_host(extra);
	while (host_request("GET", "/healthz", NULL, NULL, &r)) {
		assert_true(stk_now_ns() < until);
		usleep(10000);
	}
	http_client_resp_fini(&r);
}

const struct host_who
	host_owner = {"o", "AKOWNER", "secret-of-owner", "token-of-the-owner-012345", "000000000000"},
	host_acme = {"a", "AKACME", "secret-of-acme", "token-of-acme-0123456789", "111122223333"},
	host_bolt = {"b", "AKBOLT", "secret-of-bolt", "token-of-bolt-0123456789", "444455556666"};

void host_start_tenants(void)
{
	char keys[256];
	const char *const with_keys[] = {"keys", keys, NULL};

	host_write("keys.json",
		   "{\"tenants\":[{\"name\":\"acme\",\"account\":\"111122223333\"},{\"name\":\"bolt\",\"account\":\"444455556666\"}],"
		   "\"keys\":[{\"name\":\"o\",\"accessKeyId\":\"AKOWNER\",\"secretAccessKey\":\"secret-of-owner\","
		   "\"tokens\":[\"token-of-the-owner-012345\"]},"
		   "{\"name\":\"a\",\"tenant\":\"acme\",\"accessKeyId\":\"AKACME\",\"secretAccessKey\":\"secret-of-acme\","
		   "\"tokens\":[\"token-of-acme-0123456789\"]},"
		   "{\"name\":\"b\",\"tenant\":\"bolt\",\"accessKeyId\":\"AKBOLT\",\"secretAccessKey\":\"secret-of-bolt\","
		   "\"tokens\":[\"token-of-bolt-0123456789\"]}]}",
		   0600, keys, sizeof(keys));
	host_start(with_keys);
}

void host_kill(void)
{
	kill(host_pid, SIGKILL);
	assert_int_equal(waitpid(host_pid, NULL, 0), host_pid);
	host_pid = 0;
}

void host_term(void)
{
	kill(host_pid, SIGTERM);
}

int host_wait(void)
{
	uint64_t until = stk_now_ns() + WAIT_NS;
	int status = -1;

	while (waitpid(host_pid, &status, WNOHANG) == 0) {
		if (stk_now_ns() > until) {
			fprintf(stderr, "the host did not end\n");
			kill(host_pid, SIGKILL);
			waitpid(host_pid, NULL, 0);
			host_pid = 0;
			return -1;
		}
		usleep(10000);
	}
	host_pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	fprintf(stderr, "the host ended with wait status %d\n", status);
	return -1;
}

static bool is_child(pid_t pid, const char *program)
{
	char path[64], text[512] = "", *end;
	int parent = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close(fd);
	end = n > 0 ? strrchr(text, ')') : NULL;
	if (!end || sscanf(end + 1, " %*c %d", &parent) != 1 || parent != host_pid)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0'; /* behind the first argument there is one as well */
	end = strrchr(text, '/');
	return end && strcmp(end + 1, program) == 0;
}

pid_t host_child(const char *program, pid_t but)
{
	uint64_t until = stk_now_ns() + WAIT_NS;

	while (stk_now_ns() < until) {
		DIR *proc = opendir("/proc");
		struct dirent *e;
		pid_t found = 0;

		assert_non_null(proc);
		while (!found && (e = readdir(proc))) {
			pid_t pid = (pid_t)atoi(e->d_name);

			if (pid > 0 && pid != but && is_child(pid, program))
				found = pid;
		}
		closedir(proc);
		if (found)
			return found;
		usleep(5000);
	}
	fail_msg("the host runs no %s", program);
	return 0;
}

bool host_has_argument(pid_t pid, const char *argument)
{
	char path[64], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 && memmem(text, (size_t)n, argument, strlen(argument) + 1);
}

int host_remove(void)
{
	int rc = 0;

	if (host_pid) {
		host_touch("go"); /* nobody is left behind */
		host_term();
		rc = host_wait();
	}
	fsx_remove_tree(host_root);
	return rc;
}

bool host_has(const char *fmt, ...)
{
	char leaf[256], path[384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(leaf, sizeof(leaf), fmt, ap);
	va_end(ap);
	path_of(path, sizeof(path), leaf);
	return access(path, F_OK) == 0;
}

void host_await(bool there, const char *path)
{
	uint64_t until = stk_now_ns() + WAIT_NS;

	while (host_has("%s", path) != there) {
		if (stk_now_ns() > until)
			fail_msg("%s is %sthere", path, there ? "not " : "");
		usleep(10000);
	}
}

int host_send(const char *method, const char *path, const char *headers, const void *body, size_t len,
	      struct http_client_resp *r)
{
	struct http_client *c = NULL;
	struct stk_err err = {0};
	int rc = http_client_connect(host_target, 20000, &c, &err);

	memset(r, 0, sizeof(*r));
	if (rc == 0)
		rc = http_client_request(c, method, path, headers, body, len, 1 << 24, r, &err);
	http_client_free(c);
	return rc;
}

int host_request(const char *method, const char *path, const char *headers, const char *body, struct http_client_resp *r)
{
	return host_send(method, path, headers, body, body ? strlen(body) : 0, r);
}

void host_write(const char *leaf, const char *text, unsigned mode, char *ret_path, size_t cap)
{
	path_of(ret_path, cap, leaf);
	assert_int_equal(stk_write_file_atomic(ret_path, text, strlen(text), mode), 0);
}

static void hex_of(const uint8_t hash[SIGV4_HASH], char ret[2 * SIGV4_HASH + 1])
{
	for (unsigned i = 0; i < SIGV4_HASH; i++)
		sprintf(ret + 2 * i, "%02x", hash[i]);
}

void host_sign(const char *method, const char *path, const char *id, const char *secret, const char *body, char *ret_headers,
	       size_t cap)
{
	host_sign_for("localhost", method, path, id, secret, body, ret_headers, cap);
}

void host_sign_for(const char *host, const char *method, const char *path, const char *id, const char *secret, const char *body,
		   char *ret_headers, size_t cap)
{
	char date[20], authorization[600], hash_hex[65], signature[65], plain[512];
	struct http_header headers[4] = {{"host", host}, {"x-amz-content-sha256", hash_hex}, {"x-amz-date", date},
					 {"authorization", authorization}};
	char *query = strcpy(plain, path) + strcspn(path, "?");
	struct sigv4_request req = {method, plain, *query ? query + 1 : query, headers, 4};
	uint8_t key[SIGV4_HASH], hash[SIGV4_HASH], canonical[SIGV4_HASH], raw[SIGV4_HASH];
	time_t now = time(NULL);
	struct sigv4 sig;
	struct tm tm;

	*query = '\0';
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
	sigv4_hash(body, strlen(body), hash);
	hex_of(hash, hash_hex);
	memset(signature, '0', 64);
	signature[64] = '\0';
	for (int round = 0; round < 2; round++) { /* the second time with what the first found */
		snprintf(authorization, sizeof(authorization),
			 "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/lambda/aws4_request, "
			 "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=%s", id, date, signature);
		assert_int_equal(sigv4_read(&req, &sig), SIGV4_OK);
		sigv4_signing_key(secret, sig.day, sig.region, key);
		assert_int_equal(sigv4_canonical(&req, &sig, hash, canonical), SIGV4_OK);
		sigv4_sign(&sig, key, canonical, raw);
		hex_of(raw, signature);
	}
	snprintf(ret_headers, cap, "X-Amz-Date: %s\r\nX-Amz-Content-Sha256: %s\r\nAuthorization: %s\r\n", date, hash_hex,
		 authorization);
}

int host_request_signed(const char *method, const char *path, const char *id, const char *secret, const char *body,
			struct http_client_resp *r)
{
	char text[1024];

	host_sign(method, path, id, secret, body ? body : "", text, sizeof(text));
	return host_request(method, path, text, body, r);
}

int host_request_begin(const char *method, const char *path, const char *body)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char head[512];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/http", host_root);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", method, path, strlen(body));
	assert_int_equal(stk_write_full(fd, head, strlen(head)), 0);
	assert_int_equal(stk_write_full(fd, body, strlen(body)), 0);
	return fd;
}

double host_metric(const char *line_start)
{
	struct http_client_resp r;
	double v = -1;
	char *p;

	assert_int_equal(host_request("GET", "/metrics", NULL, NULL, &r), 0);
	p = strstr((char *)r.body, line_start);
	if (p)
		v = strtod(p + strlen(line_start), NULL);
	http_client_resp_fini(&r);
	return v;
}

void host_wait_metric(const char *line_start, double value)
{
	uint64_t until = stk_now_ns() + WAIT_NS;

	while (host_metric(line_start) != value) {
		if (stk_now_ns() > until)
			fail_msg("%s stays %g, expected %g", line_start, host_metric(line_start), value);
		usleep(10000);
	}
}
