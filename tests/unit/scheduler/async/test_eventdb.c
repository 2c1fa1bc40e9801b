/* The event queue on disk: what was acknowledged is there, also when the writer is killed at any moment. */
#include "scheduler/async/eventdb.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "scheduler/fsx.h"
#include "tests/unit/unit.h"

static char dir[64], path[96];
static struct eventdb *db;
static struct stk_err err;

static int setup(void **state)
{
	strcpy(dir, "/tmp/stoker-events-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/events.db", dir);
	return eventdb_open(path, &db, &err);
}

static int teardown(void **state)
{
	eventdb_close(db);
	db = NULL;
	return fsx_remove_tree(dir);
}

static void reopen(void)
{
	eventdb_close(db);
	assert_int_equal(eventdb_open(path, &db, &err), 0);
}

static void ok(int rc)
{
	if (rc)
		fail_msg("%d: %s", rc, err.text);
}

static void fill(struct event *e, int64_t seq, const char *flow, int64_t next_ms)
{
	memset(e, 0, sizeof(*e));
	e->seq = seq;
	e->kind = flow[0] == '/' ? EVENT_SEND : EVENT_CALL;
	snprintf(e->id, sizeof(e->id), "00000000-0000-4000-8000-%012lld", (long long)seq);
	strcpy(e->flow, flow);
	strcpy(e->function, "f");
	e->next_ms = e->accepted_ms = next_ms;
	e->payload = (uint8_t *)(uintptr_t)"{\"a\":1}";
	e->payload_len = 7;
}

static void add(int64_t seq, const char *flow, int64_t next_ms)
{
	struct event e;
	struct eventdb_op op = {.what = EVENTDB_ADD, .event = &e};

	fill(&e, seq, flow, next_ms);
	ok(eventdb_op(db, &op, &err));
}

static unsigned take(const char *flow, int64_t now, unsigned max, const int64_t *held, unsigned held_count,
		     int64_t *seqs, int64_t *ret_next)
{
	struct stk_list events;
	unsigned n = 0;

	stk_list_init(&events);
	ok(eventdb_take(db, flow, now, max, 1 << 20, held, held_count, &events, ret_next, &err));
	STK_LIST_FOREACH_SAFE(it, tmp, &events) {
		struct event *e = STK_CONTAINER_OF(it, struct event, node);

		seqs[n++] = e->seq;
		stk_list_del(it);
		event_free(e);
	}
	return n;
}

static void everything_comes_back(void **state)
{
	struct event e;
	struct eventdb_op op = {.what = EVENTDB_ADD, .event = &e};
	struct stk_list events;
	struct event *got;
	uint8_t *payload;
	int64_t next;
	size_t len;

	fill(&e, 9, "f", 1700000000123);
	e.kind = EVENT_HTTP;
	strcpy(e.qualifier, "live");
	e.errors = 1;
	e.refusals = 2;
	e.hops = 3;
	e.accepted_ms = 1600000000000;
	e.target = (char *)(uintptr_t)"http://h/cb";
	e.context = (char *)(uintptr_t)"{\"custom\":{}}";
	e.tenant_id = (char *)(uintptr_t)"blue";
	e.payload = malloc(EVENT_MAX_PAYLOAD);
	memset(e.payload, 0xfe, EVENT_MAX_PAYLOAD);
	e.payload_len = EVENT_MAX_PAYLOAD;
	ok(eventdb_begin(db, &err));
	ok(eventdb_op(db, &op, &err));
	ok(eventdb_commit(db, &err));
	reopen();
	stk_list_init(&events);
	ok(eventdb_take(db, "f", 1700000000123, 5, 1, NULL, 0, &events, &next, &err));
	assert_int_equal(next, INT64_MAX);
	got = STK_CONTAINER_OF(events.next, struct event, node);
	assert_ptr_equal(events.next, events.prev);
	assert_int_equal(got->seq, 9);
	assert_int_equal(got->kind, EVENT_HTTP);
	assert_string_equal(got->id, e.id);
	assert_string_equal(got->flow, "f");
	assert_string_equal(got->function, "f");
	assert_string_equal(got->qualifier, "live");
	assert_int_equal(got->errors, 1);
	assert_int_equal(got->refusals, 2);
	assert_int_equal(got->hops, 3);
	assert_int_equal(got->next_ms, 1700000000123);
	assert_int_equal(got->accepted_ms, 1600000000000);
	assert_string_equal(got->target, e.target);
	assert_string_equal(got->context, e.context);
	assert_string_equal(got->tenant_id, e.tenant_id);
	assert_int_equal(got->payload_len, e.payload_len);
	assert_memory_equal(got->payload, e.payload, e.payload_len);
	assert_int_equal(event_cost(got), event_cost(&e));
	event_free(got);
	ok(eventdb_payload(db, 9, &payload, &len, &err));
	assert_int_equal(len, e.payload_len);
	free(payload);
	assert_int_equal(eventdb_payload(db, 10, &payload, &len, &err), -ENOENT);
	ok(eventdb_last_seq(db, &next, &err));
	assert_int_equal(next, 9);
	ok(eventdb_oldest(db, &next, &err));
	assert_int_equal(next, 1600000000000);
	free(e.payload);
}

static void what_is_due(void **state)
{
	struct eventdb_op op = {.what = EVENTDB_RETRY, .seq = 1, .errors = 1, .next_ms = 400};
	int64_t seqs[10], next = 0, held[] = {2, 3};

	ok(eventdb_begin(db, &err));
	add(1, "f", 100);
	add(2, "f", 100);
	add(3, "f", 50);
	add(4, "f", 200);
	add(5, "f", 300);
	add(6, "g", 10);
	ok(eventdb_commit(db, &err));
	assert_int_equal(take("f", 250, 10, NULL, 0, seqs, &next), 4);
	assert_int_equal(seqs[0], 3);
	assert_int_equal(seqs[1], 1);
	assert_int_equal(seqs[2], 2);
	assert_int_equal(seqs[3], 4);
	assert_int_equal(next, 300);
	assert_int_equal(take("f", 250, 1, held, 2, seqs, &next), 1); /* the held ones are passed over */
	assert_int_equal(seqs[0], 1);
	assert_int_equal(next, 200);
	assert_int_equal(take("f", 20, 10, NULL, 0, seqs, &next), 0);
	assert_int_equal(next, 50);
	assert_int_equal(take("h", 20, 10, NULL, 0, seqs, &next), 0);
	assert_int_equal(next, INT64_MAX);
	ok(eventdb_begin(db, &err));
	ok(eventdb_op(db, &op, &err));
	op = (struct eventdb_op){.what = EVENTDB_REMOVE, .seq = 3};
	ok(eventdb_op(db, &op, &err));
	ok(eventdb_commit(db, &err));
	assert_int_equal(take("f", 150, 10, NULL, 0, seqs, &next), 1);
	assert_int_equal(seqs[0], 2);
	assert_int_equal(next, 200);
	assert_int_equal(take("f", 999, 10, NULL, 0, seqs, &next), 4);
	assert_int_equal(seqs[3], 1);
}

static unsigned flows_seen;

static int each_flow(void *ctx, const struct eventdb_flow *f)
{
	flows_seen++;
	if (strcmp(f->flow, "f") == 0) {
		assert_int_equal(f->count, 2);
		assert_int_equal(f->bytes, 2 * (EVENT_COST + 7));
		assert_int_equal(f->next_ms, 50);
		assert_false(f->send);
	} else {
		assert_string_equal(f->flow, "//h:80");
		assert_true(f->send);
	}
	return 0;
}

static int each_config(void *ctx, const char *function, const char *qualifier, const struct evconfig *c)
{
	assert_string_equal(function, "f");
	assert_string_equal(qualifier, "live");
	assert_int_equal(c->max_retries, 0);
	assert_string_equal(c->on_failure, "https://h/x");
	++*(unsigned *)ctx;
	return 0;
}

static void what_is_there_at_start(void **state)
{
	struct evconfig c;
	struct eventdb_op op = {.what = EVENTDB_CONFIG_PUT, .function = "f", .qualifier = "live", .config = &c};
	unsigned configs = 0;

	evconfig_default(&c);
	ok(eventdb_begin(db, &err));
	add(1, "f", 100);
	add(2, "f", 50);
	add(3, "//h:80", 7);
	ok(eventdb_op(db, &op, &err));
	c.max_retries = 0;
	strcpy(c.on_failure, "https://h/x");
	ok(eventdb_op(db, &op, &err));
	op.qualifier = "";
	ok(eventdb_op(db, &op, &err));
	op = (struct eventdb_op){.what = EVENTDB_CONFIG_DELETE, .function = "f", .qualifier = ""};
	ok(eventdb_op(db, &op, &err));
	ok(eventdb_commit(db, &err));
	reopen();
	ok(eventdb_flows(db, each_flow, NULL, &err));
	assert_int_equal(flows_seen, 2);
	ok(eventdb_configs(db, each_config, &configs, &err));
	assert_int_equal(configs, 1);
	ok(eventdb_begin(db, &err));
	op.qualifier = "*";
	ok(eventdb_op(db, &op, &err));
	ok(eventdb_commit(db, &err));
	ok(eventdb_configs(db, each_config, &configs, &err));
	assert_int_equal(configs, 1);
}

static void a_failed_transaction_did_nothing(void **state)
{
	struct event e;
	struct eventdb_op op = {.what = EVENTDB_ADD, .event = &e};
	int64_t seqs[4], next;

	ok(eventdb_begin(db, &err));
	add(1, "f", 1);
	fill(&e, 1, "f", 1); /* the same row again */
	assert_int_not_equal(eventdb_op(db, &op, &err), 0);
	eventdb_rollback(db);
	assert_int_equal(take("f", 9, 4, NULL, 0, seqs, &next), 0);
	ok(eventdb_begin(db, &err));
	add(1, "f", 1);
	ok(eventdb_commit(db, &err));
	assert_int_equal(take("f", 9, 4, NULL, 0, seqs, &next), 1);
}

static void sql(const char *text)
{
	sqlite3 *s;

	eventdb_close(db);
	db = NULL;
	assert_int_equal(sqlite3_open(path, &s), SQLITE_OK);
	assert_int_equal(sqlite3_exec(s, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(s);
}

static void newer_and_damaged(void **state)
{
	int64_t seqs[4], next;
	int fd;

	ok(eventdb_begin(db, &err));
	add(1, "f", 1);
	add(2, "f", 2);
	ok(eventdb_commit(db, &err));
	sql("DELETE FROM payloads WHERE seq = 1");
	assert_int_equal(eventdb_open(path, &db, &err), 0);
	/* the others go on, and it is said */
	memset(&err, 0, sizeof(err));
	assert_int_equal(take("f", 9, 4, NULL, 0, seqs, &next), 1);
	assert_int_equal(seqs[0], 2);
	assert_int_equal(err.code, -EUCLEAN);
	sql("PRAGMA user_version = 3");
	assert_int_equal(eventdb_open(path, &db, &err), -EPROTO);
	assert_non_null(strstr(err.text, "schema 3"));
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "this is no database, however long it may be read for", 52), 52);
	close(fd);
	assert_int_equal(eventdb_open(path, &db, &err), -EUCLEAN);
	db = NULL;
}

static void room_is_given_back(void **state)
{
	struct event e;
	struct eventdb_op op = {.what = EVENTDB_ADD, .event = &e};
	struct stat st;
	off_t full;

	fill(&e, 0, "f", 1);
	e.payload = calloc(1, 1 << 20);
	e.payload_len = 1 << 20;
	ok(eventdb_begin(db, &err));
	for (e.seq = 1; e.seq <= 60; e.seq++)
		ok(eventdb_op(db, &op, &err));
	ok(eventdb_commit(db, &err));
	free(e.payload);
	ok(eventdb_begin(db, &err));
	for (int64_t seq = 1; seq <= 60; seq++) {
		op = (struct eventdb_op){.what = EVENTDB_REMOVE, .seq = seq};
		ok(eventdb_op(db, &op, &err));
	}
	ok(eventdb_commit(db, &err));
	reopen();
	assert_int_equal(stat(path, &st), 0);
	full = st.st_size;
	for (unsigned i = 0; i < 20; i++)
		ok(eventdb_tidy(db, &err));
	reopen();
	assert_int_equal(stat(path, &st), 0);
	assert_true(full > 60 << 20);
	assert_in_range(st.st_size, 1, 36 << 20); /* some is kept for the next time */
}

/* --- killed at any moment ----------------------------------------------------------------------------- */

#define BATCH 16

/* Adds batches, and in the same transaction ends the batch before the last with one follower each; writes the batch's
 * number when it is acknowledged. */
static void writer(int fd)
{
	int64_t follower = 1000000;

	if (eventdb_open(path, &db, &err))
		_exit(1);
	for (uint32_t batch = 0;; batch++) {
		if (eventdb_begin(db, &err))
			_exit(2);
		for (unsigned i = 0; i < BATCH; i++) {
			struct event e;
			struct eventdb_op op = {.what = EVENTDB_ADD, .event = &e};

			fill(&e, 1 + batch * BATCH + i, "f", batch);
			if (eventdb_op(db, &op, &err))
				_exit(3);
			if (batch < 2)
				continue;
			op = (struct eventdb_op){.what = EVENTDB_REMOVE, .seq = 1 + (batch - 2) * BATCH + i};
			if (eventdb_op(db, &op, &err))
				_exit(4);
			fill(&e, follower++, "//h:80", batch);
			op = (struct eventdb_op){.what = EVENTDB_ADD, .event = &e};
			if (eventdb_op(db, &op, &err))
				_exit(5);
		}
		if (eventdb_commit(db, &err) || write(fd, &batch, sizeof(batch)) != sizeof(batch))
			_exit(6);
	}
}

static uint64_t counts[2];

static int count_flow(void *ctx, const struct eventdb_flow *f)
{
	counts[f->send] = f->count;
	return 0;
}

static void killed_at_any_moment(void **state)
{
	uint64_t batches = 0;

	for (unsigned round = 0; round < 25; round++) {
		uint32_t acknowledged = 0, last = 0;
		bool any = false;
		int fds[2], status;
		pid_t pid;

		teardown(NULL);
		assert_int_equal(setup(NULL), 0);
		eventdb_close(db);
		db = NULL;
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			writer(fds[1]);
		close(fds[1]);
		for (unsigned i = 0; i < round * 3 + 1; i++) {
			assert_int_equal(stk_read_full(fds[0], &last, sizeof(last)), 0);
			acknowledged = last;
			any = true;
		}
		usleep(round * 137 % 1000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		while (stk_read_full(fds[0], &last, sizeof(last)) == 0)
			acknowledged = last;
		close(fds[0]);
		assert_true(any);
		assert_int_equal(eventdb_open(path, &db, &err), 0);
		memset(counts, 0, sizeof(counts));
		ok(eventdb_flows(db, count_flow, NULL, &err));
		/* The one being written may be there or not, but whole: two batches wait, the others are followers. */
		batches = (counts[0] + counts[1]) / BATCH;
		assert_int_equal((counts[0] + counts[1]) % BATCH, 0);
		assert_in_range(batches, acknowledged + 1, acknowledged + 2);
		assert_int_equal(counts[0], BATCH * (batches < 2 ? batches : 2));
	}
	assert_true(batches > 20);
}

/* What group commit is for: events per second do not depend on the disk's transactions per second. */
static void many_in_one_transaction(void **state)
{
	uint64_t begin = stk_now_ns(), took;
	int64_t oldest;

	for (unsigned batch = 0; batch < 20; batch++) {
		ok(eventdb_begin(db, &err));
		for (int64_t i = 1; i <= 1000; i++)
			add(batch * 1000 + i, "f", i);
		ok(eventdb_commit(db, &err));
	}
	took = stk_now_ns() - begin;
	print_message("20000 events in 20 transactions: %.0f ms\n", (double)took / 1e6);
	assert_true(took < 30 * STK_NS_PER_S);
	ok(eventdb_oldest(db, &oldest, &err));
	assert_int_equal(oldest, 1);
}

static int64_t oldest_call(void)
{
	int64_t ms = -1;

	ok(eventdb_oldest(db, &ms, &err));
	return ms;
}

/* Processor time of some hundred questions for the oldest call. */
static uint64_t questions(void)
{
	struct timespec begin, end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	for (unsigned i = 0; i < 300; i++)
		oldest_call();
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	return (uint64_t)(end.tv_sec - begin.tv_sec) * STK_NS_PER_S + (uint64_t)end.tv_nsec - (uint64_t)begin.tv_nsec;
}

static void oldest_call_behind_results(void **state)
{
	const struct eventdb_op gone = {.what = EVENTDB_REMOVE, .seq = 20001};
	uint64_t few, many;

	assert_int_equal(oldest_call(), 0);
	add(1, "/r", 10);
	assert_int_equal(oldest_call(), 0); /* a result to be sent is no call */
	few = questions();
	ok(eventdb_begin(db, &err));
	for (int64_t i = 2; i <= 20000; i++)
		add(i, "/r", i);
	ok(eventdb_commit(db, &err));
	many = questions();
	print_message("oldest call, 300 times: %.0f us behind 1 result, %.0f us behind 20000\n", (double)few / 1e3,
		      (double)many / 1e3);
	assert_true(many < 20 * few); /* looked at each time they would cost some hundred times as much */

	add(20001, "f", 70);
	add(20002, "/r", 80);
	add(20003, "f", 60);
	assert_int_equal(oldest_call(), 70);
	ok(eventdb_op(db, &gone, &err));
	assert_int_equal(oldest_call(), 60);
	reopen();
	assert_int_equal(oldest_call(), 60);
	ok(eventdb_op(db, &(struct eventdb_op){.what = EVENTDB_REMOVE, .seq = 20003}, &err));
	assert_int_equal(oldest_call(), 0);
	add(5000000, "f", 90);
	assert_int_equal(oldest_call(), 90);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(everything_comes_back), CASE(what_is_due), CASE(what_is_there_at_start),
		CASE(a_failed_transaction_did_nothing), CASE(newer_and_damaged), CASE(room_is_given_back),
		CASE(killed_at_any_moment), CASE(many_in_one_transaction), CASE(oldest_call_behind_results),
	};

	unit_time_limit(300);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
