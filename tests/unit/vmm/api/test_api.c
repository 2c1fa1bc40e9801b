/* The control interface end to end over its socket: golden request/response pairs, and what cannot be
 * written as such. The machine behind it is a recorder with the states of the real one. */
#include "vmm/api/api_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/host/http_client.h"
#include "tests/unit/unit.h"
#include "vmm/api/api_config.h"

/* --- the machine ----------------------------------------------------------------------------- */

struct vm {
	enum vm_state state;
	struct vmconfig cfg;
	const char *fails; /* text of the error that the next call gives */
	char called[2048];
};

static int vm_result(struct vm *vm, struct stk_err *err)
{
	const char *text = vm->fails;

	vm->fails = NULL;
	return text ? stk_err_set(err, -EIO, "%s", text) : 0;
}

enum vm_state vm_get_state(const struct vm *vm)
{
	return vm->state;
}

const struct vmconfig *vm_get_config(const struct vm *vm)
{
	return &vm->cfg;
}

int vm_boot(struct vm *vm, const struct vmconfig *cfg, struct stk_err *err)
{
	int r = vmconfig_check(cfg, err);

	if (r == 0)
		r = vm_result(vm, err);
	if (r < 0)
		return r;
	vm->cfg = *cfg;
	vm->state = VM_RUNNING;
	return 0;
}

int vm_pause(struct vm *vm, struct stk_err *err)
{
	int r = vm_result(vm, err);

	if (r == 0)
		vm->state = VM_PAUSED;
	return r;
}

int vm_resume(struct vm *vm, struct stk_err *err)
{
	int r = vm_result(vm, err);

	if (r == 0)
		vm->state = VM_RUNNING;
	return r;
}

int vm_snapshot_create(struct vm *vm, const char *state_path, const char *memory_path,
		       bool keep_vsock_streams, struct stk_err *err)
{
	snprintf(vm->called, sizeof(vm->called), "snapshot_create %s %s keep=%d", state_path, memory_path,
		 keep_vsock_streams);
	return vm_result(vm, err);
}

int vm_snapshot_load(struct vm *vm, const struct vm_load_opts *o, struct stk_err *err)
{
	int r = vm_result(vm, err), n;

	n = snprintf(vm->called, sizeof(vm->called), "snapshot_load %s %s uds=%s resume=%d", o->state.path,
		     o->memory.path, o->uds_path ? o->uds_path : "-", o->resume);
	for (unsigned i = 0; i < o->drive_count; i++)
		n += snprintf(vm->called + n, sizeof(vm->called) - (size_t)n, " %s=%s", o->drive[i].drive_id,
			      o->drive[i].path);
	if (r == 0)
		vm->state = o->resume ? VM_RUNNING : VM_PAUSED;
	return r;
}

/* --- the server on its thread ---------------------------------------------------------------- */

static char dir[] = "/tmp/stk-test-api-XXXXXX";
static char sock_path[64];
static uv_loop_t loop;
static uv_async_t stop;
static pthread_t thread;
static struct vm vm;
static struct api_server *server;
static atomic_int fatal;
static unsigned fds_before;

static void on_fatal(void *ctx)
{
	fatal++;
}

static void on_stop_async(uv_async_t *a)
{
	api_server_stop(server);
	uv_close((uv_handle_t *)a, NULL);
}

static void *run(void *arg)
{
	uv_run(&loop, UV_RUN_DEFAULT);
	return NULL;
}

static int start(void **state)
{
	struct stk_err err = {0};

	fds_before = unit_count_fds();
	memset(&vm, 0, sizeof(vm));
	fatal = 0;
	uv_loop_init(&loop);
	uv_async_init(&loop, &stop, on_stop_async);
	if (api_server_start(&loop, sock_path, "vm-1", &vm, &server, &err) < 0)
		fail_msg("%s", err.text);
	api_server_on_fatal(server, on_fatal, NULL);
	return pthread_create(&thread, NULL, run, NULL);
}

static int finish(void **state)
{
	struct stat st;

	uv_async_send(&stop);
	pthread_join(thread, NULL);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(stat(sock_path, &st), -1);
	assert_int_equal(unit_count_fds(), fds_before);
	return 0;
}

static struct http_client *client(void)
{
	char target[80];
	struct http_client *c;
	struct stk_err err = {0};

	snprintf(target, sizeof(target), "unix:%s", sock_path);
	if (http_client_connect(target, 10000, &c, &err) < 0)
		fail_msg("%s", err.text);
	return c;
}

/* --- golden files ---------------------------------------------------------------------------- */

/* Replaces $TMP and $VERSION. Heap. */
static char *expand(const char *text)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	while (*text) {
		if (strncmp(text, "$TMP", 4) == 0)
			fputs(dir, f), text += 4;
		else if (strncmp(text, "$VERSION", 8) == 0)
			fputs(PACKAGE_VERSION, f), text += 8;
		else
			fputc(*text++, f);
	}
	fclose(f);
	return out;
}

static void check_response(const char *where, const json_t *step, const struct http_client_resp *r)
{
	const json_t *want = json_object_get(step, "response"), *body = json_array_get(want, 1), *v;
	const char *begins = json_string_value(json_object_get(step, "fault_begins")), *name;
	json_t *got = r->body_len ? json_loadb((const char *)r->body, r->body_len, 0, NULL) : NULL;
	char value[256];

	if (r->status != json_integer_value(json_array_get(want, 0)) ||
	    (!begins && !body && r->body_len) || (body && !json_equal(body, got)))
		fail_msg("%s: got %d %s", where, r->status, (const char *)r->body);
	if (begins) {
		const char *text = json_string_value(json_object_get(got, "fault_message"));

		if (!text || strncmp(text, begins, strlen(begins)) != 0)
			fail_msg("%s: got %s", where, (const char *)r->body);
	}
	if (got) {
		assert_int_equal(http_client_header(r, "content-type", value, sizeof(value)), 0);
		assert_string_equal(value, "application/json");
	}
	if (!json_object_get(step, "headers"))
		assert_int_equal(http_client_header(r, "deprecation", value, sizeof(value)), -ENOENT);
	json_object_foreach(json_object_get(step, "headers"), name, v) {
		if (http_client_header(r, name, value, sizeof(value)) < 0 ||
		    strcmp(value, json_string_value(v)) != 0)
			fail_msg("%s: header %s", where, name);
	}
	json_decref(got);
}

static void run_step(struct http_client *c, const char *where, const json_t *step)
{
	const json_t *req = json_object_get(step, "request"), *raw = json_object_get(step, "request_raw");
	const char *called = json_string_value(json_object_get(step, "vm_called"));
	struct http_client_resp r;
	struct stk_err err = {0};
	char *body = NULL;

	vm.fails = json_string_value(json_object_get(step, "vm_fails"));
	vm.called[0] = '\0';
	if (raw)
		body = strdup(json_string_value(json_array_get(raw, 2)));
	else if (json_array_size(req) > 2)
		body = json_dumps(json_array_get(req, 2), 0);
	req = raw ? raw : req;
	if (http_client_request(c, json_string_value(json_array_get(req, 0)),
				json_string_value(json_array_get(req, 1)), NULL, body, body ? strlen(body) : 0,
				65536, &r, &err) < 0)
		fail_msg("%s: %s", where, err.text);
	check_response(where, step, &r);
	if (called)
		assert_string_equal(vm.called, called);
	/* It is called behind the answer, which we have already. */
	for (int ms = 0; ms < 10000 && json_is_true(json_object_get(step, "fatal")) && !fatal; ms++)
		usleep(1000);
	assert_int_equal(fatal, json_is_true(json_object_get(step, "fatal")));
	http_client_resp_fini(&r);
	free(body);
}

static void run_golden(const char *path)
{
	struct http_client *c;
	json_t *root, *step;
	json_error_t je;
	char *text, *full;
	size_t i;

	if (stk_read_file(path, 1u << 20, &text, NULL) < 0)
		fail_msg("cannot read %s", path);
	full = expand(text);
	root = json_loads(full, JSON_REJECT_DUPLICATES, &je);
	if (!root)
		fail_msg("%s:%d: %s", path, je.line, je.text);
	start(NULL);
	c = client();
	assert_true(json_array_size(json_object_get(root, "steps")) > 0);
	json_array_foreach(json_object_get(root, "steps"), i, step) {
		char where[1100];

		snprintf(where, sizeof(where), "%s step %zu", path, i + 1);
		run_step(c, where, step);
	}
	http_client_free(c);
	finish(NULL);
	json_decref(root);
	free(full);
	free(text);
}

static void test_golden(void **state)
{
	const char *src = getenv("STOKER_SRC");
	char folder[512], path[1024];
	unsigned count = 0;
	struct dirent *e;
	DIR *d;

	snprintf(folder, sizeof(folder), "%s/tests/golden/api", src ? src : ".");
	d = opendir(folder);
	if (!d)
		fail_msg("%s: set STOKER_SRC to the source tree", folder);
	while ((e = readdir(d))) {
		if (!strstr(e->d_name, ".json"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		run_golden(path);
		count++;
	}
	closedir(d);
	assert_true(count >= 10);
}

/* --- what reaches the machine ---------------------------------------------------------------- */

static void put(struct http_client *c, const char *path, const char *body)
{
	struct http_client_resp r;
	struct stk_err err = {0};
	char *full = expand(body);

	if (http_client_request(c, "PUT", path, NULL, full, strlen(full), 65536, &r, &err) < 0)
		fail_msg("%s", err.text);
	if (r.status != 204)
		fail_msg("%s: %d %s", path, r.status, (char *)r.body);
	http_client_resp_fini(&r);
	free(full);
}

static void check_full_config(const struct vmconfig *cfg)
{
	char path[128];

	assert_int_equal(cfg->vcpu_count, 2);
	assert_int_equal(cfg->mem_size_mib, 512);
	snprintf(path, sizeof(path), "%s/vmlinux", dir);
	assert_string_equal(cfg->kernel_path, path);
	snprintf(path, sizeof(path), "%s/initrd", dir);
	assert_string_equal(cfg->initrd_path, path);
	assert_string_equal(cfg->boot_args, "console=ttyS0 quiet");
	assert_int_equal(cfg->drive_count, 2);
	assert_string_equal(cfg->drive[0].id, "rootfs");
	assert_true(cfg->drive[0].is_root && cfg->drive[0].read_only && !cfg->drive[0].copy_on_write);
	assert_string_equal(cfg->drive[1].id, "scratch");
	assert_true(!cfg->drive[1].is_root && !cfg->drive[1].read_only && cfg->drive[1].copy_on_write);
	assert_int_equal(cfg->drive[1].size_mib, 600);
	assert_true(cfg->vsock);
	assert_int_equal(cfg->guest_cid, 3);
	assert_string_equal(cfg->uds_path, "/run/v.sock");
	assert_true(cfg->entropy);
}

static void test_boot_gets_all(void **state)
{
	struct http_client *c = client();

	put(c, "/drives/scratch", "{\"drive_id\":\"scratch\",\"is_root_device\":false,"
				  "\"path_on_host\":\"$TMP/scratch.img\",\"copy_on_write\":true,\"size_mib\":600}");
	put(c, "/entropy", "{}");
	put(c, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"/run/v.sock\"}");
	put(c, "/drives/rootfs", "{\"drive_id\":\"rootfs\",\"is_root_device\":true,"
				 "\"path_on_host\":\"$TMP/rootfs.img\",\"is_read_only\":true}");
	put(c, "/boot-source", "{\"kernel_image_path\":\"$TMP/vmlinux\",\"initrd_path\":\"$TMP/initrd\","
			       "\"boot_args\":\"console=ttyS0 quiet\"}");
	put(c, "/machine-config", "{\"vcpu_count\":2,\"mem_size_mib\":512}");
	put(c, "/actions", "{\"action_type\":\"InstanceStart\"}");
	check_full_config(&vm.cfg);
	http_client_free(c);
}

static int parse_config(const char *text, struct vmconfig *cfg, struct stk_err *err)
{
	char *full = expand(text), path[128];
	int r;

	snprintf(path, sizeof(path), "%s/config.json", dir);
	assert_int_equal(stk_write_file_atomic(path, full, strlen(full), 0600), 0);
	vmconfig_init(cfg);
	r = api_config_load_file(path, cfg, err);
	unlink(path);
	free(full);
	return r;
}

#define BOOT "\"boot-source\":{\"kernel_image_path\":\"$TMP/vmlinux\"}"

static void test_config_file(void **state)
{
	static const struct { const char *text, *says; } bad[] = {
		{"", "empty"},
		{"{", "invalid JSON"},
		{"{}", "missing field `boot-source`"},
		{"{" BOOT ",\"x\":1}", "unknown field `x`"},
		{"{" BOOT ",\"balloon\":{}}", "`balloon` is not supported"},
		{"{" BOOT ",\"network-interfaces\":[{}]}", "`network-interfaces` is not supported"},
		{"{" BOOT ",\"machine-config\":{\"vcpu_count\":1}}", "missing field `mem_size_mib`"},
		{"{" BOOT ",\"drives\":{}}", "`drives` must be an array"},
		{"{" BOOT ",\"drives\":[1]}", "drive 0"},
		{"{" BOOT ",\"drives\":[{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"$TMP/code.img\"},"
		 "{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"$TMP/code.img\"}]}", "twice"},
		{"{\"boot-source\":{\"kernel_image_path\":\"$TMP/none\"}}", "cannot open the kernel image"},
	};
	struct vmconfig cfg, fresh;
	struct stk_err err = {0};

	if (parse_config("{\"boot-source\":{\"kernel_image_path\":\"$TMP/vmlinux\",\"initrd_path\":\"$TMP/initrd\","
			 "\"boot_args\":\"console=ttyS0 quiet\"},\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":512},"
			 "\"drives\":[{\"drive_id\":\"scratch\",\"is_root_device\":false,\"path_on_host\":\"$TMP/scratch.img\","
			 "\"copy_on_write\":true,\"size_mib\":600},{\"drive_id\":\"rootfs\",\"is_root_device\":true,\"path_on_host\":"
			 "\"$TMP/rootfs.img\",\"is_read_only\":true}],\"vsock\":{\"guest_cid\":3,\"uds_path\":\"/run/v.sock\"},"
			 "\"entropy\":{},\"logger\":null,\"network-interfaces\":[]}", &cfg, &err) < 0)
		fail_msg("%s", err.text);
	check_full_config(&cfg);
	vmconfig_init(&fresh);
	for (size_t i = 0; i < STK_ARRAY_LEN(bad); i++) {
		assert_true(parse_config(bad[i].text, &cfg, &err) < 0);
		if (!strstr(err.text, bad[i].says) || !strstr(err.text, "config.json"))
			fail_msg("%s: %s", bad[i].text, err.text);
		assert_memory_equal(&cfg, &fresh, sizeof(cfg));
	}
	assert_int_equal(api_config_load_file("/no/such/file", &cfg, &err), -ENOENT);
}

/* What GET /vm/config shows can be given as a configuration file. */
static void test_config_round_trip(void **state)
{
	struct http_client *c = client();
	struct http_client_resp r;
	struct stk_err err = {0};
	struct vmconfig cfg;

	test_boot_gets_all(state);
	assert_int_equal(http_client_request(c, "GET", "/vm/config", NULL, NULL, 0, 65536, &r, &err), 0);
	vmconfig_init(&cfg);
	if (api_config_parse(r.body, r.body_len, &cfg, &err) < 0)
		fail_msg("%s: %s", err.text, (char *)r.body);
	check_full_config(&cfg);
	http_client_resp_fini(&r);
	http_client_free(c);
}

/* --- below JSON ------------------------------------------------------------------------------ */

static int raw(const char *text)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, sock_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

static void expect_raw(const char *text, const char *status, const char *body)
{
	int fd = raw(text);
	char answer[2048];
	size_t n = 0;
	ssize_t k;

	while ((k = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0)
		n += (size_t)k;
	answer[n] = '\0';
	close(fd);
	if (!strstr(answer, status) || !strstr(answer, body))
		fail_msg("%s", answer);
}

static void test_http_errors(void **state)
{
	char big[200];

	expect_raw("NONSENSE\r\n\r\n", "HTTP/1.1 400 ", "{\"error\":\"malformed request\"}");
	snprintf(big, sizeof(big), "PUT /entropy HTTP/1.1\r\nContent-Length: %d\r\n\r\n", 51201);
	expect_raw(big, "HTTP/1.1 413 ", "{\"error\":\"the request's body is too large\"}");
	expect_raw("PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 ",
		   "{\"error\":");
}

static void test_eleventh_connection(void **state)
{
	int fd[10];
	char c;

	for (int i = 0; i < 10; i++) {
		fd[i] = raw("GET / HTTP/1.1\r\n\r\n");
		assert_int_equal(read(fd[i], &c, 1), 1); /* served: the connection counts */
	}
	expect_raw("", "HTTP/1.1 503 ", "{\"error\":\"too many connections\"}");
	for (int i = 0; i < 10; i++)
		close(fd[i]);
}

static void test_socket_in_use(void **state)
{
	struct api_server *second;
	struct stk_err err = {0};
	uv_loop_t other;

	uv_loop_init(&other);
	assert_int_equal(api_server_start(&other, sock_path, "x", &vm, &second, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, sock_path));
	uv_run(&other, UV_RUN_DEFAULT); /* gives the half-made server back */
	assert_int_equal(uv_loop_close(&other), 0);
	expect_raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ", "vm-1"); /* unharmed */
}

/* --- frame ----------------------------------------------------------------------------------- */

static const char *const files[] = {"vmlinux", "initrd", "rootfs.img", "code.img", "code2.img", "scratch.img"};

static int make_files(void **state)
{
	char path[128];

	if (!mkdtemp(dir))
		return -1;
	snprintf(sock_path, sizeof(sock_path), "%s/api.sock", dir);
	for (size_t i = 0; i < STK_ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		if (stk_write_file_atomic(path, "x", 1, 0600) < 0)
			return -1;
	}
	return 0;
}

static int remove_files(void **state)
{
	char path[128];

	for (size_t i = 0; i < STK_ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	return rmdir(dir); /* fails when a socket was left */
}

#define SERVED(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		SERVED(test_boot_gets_all),
		cmocka_unit_test(test_config_file),
		SERVED(test_config_round_trip),
		SERVED(test_http_errors),
		SERVED(test_eleventh_connection),
		SERVED(test_socket_in_use),
	};
	uv_loop_t warm; /* libuv's own descriptors are made once and stay */

	unit_time_limit(120);
	stk_log_set_level(STK_LOG_ERROR);
	uv_loop_init(&warm);
	uv_loop_close(&warm);
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
