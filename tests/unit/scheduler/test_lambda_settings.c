/* What is configured beside a function, of a real stokerd over HTTP, without KVM: versions, aliases and what belongs to them,
 * before and after the host was killed. */
#include "tests/unit/scheduler/lambda_client.h"

#include <stdio.h>
#include <string.h>

#include "scheduler/async/eventdb.h"
#include "scheduler/store.h"

static void versions_and_aliases(void **state)
{
	json_t *o;

	host_start(NULL);
	lc_create("f");
	lc_want("POST", FN "/versions", "{\"Description\":\"one\"}", 201);
	lc_want("POST", FN "/versions", "{}", 201); /* nothing has changed: the same one */
	o = lc_call("GET", FN "/versions", NULL, NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "Versions")), 2);
	json_decref(o);
	lc_update_mode("y", "Successful");
	lc_want("POST", FN "/versions", "{}", 201);
	lc_invoke(FN "/invocations?Qualifier=1", "{}", 200, "{}");
	lc_want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\",\"Description\":\"d\"}", 201);
	lc_want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 409);
	lc_want("POST", FN "/aliases", "{\"Name\":\"dead\",\"FunctionVersion\":\"9\"}", 404);
	lc_want("PUT", FN "/aliases/live", "{\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":0.5}}}", 200);
	lc_want("PUT", FN "/aliases/none", "{}", 404);
	lc_want("DELETE", FN "?Qualifier=1", NULL, 409); /* the alias points to both */
	lc_want("DELETE", FN "?Qualifier=2", NULL, 409);
	lc_invoke(FNS "/f:live/invocations", "{}", 200, "{}");
	host_kill();
	host_start(NULL);
	assert_string_equal(lc_get(FN "/aliases/live", "FunctionVersion"), "1");
	assert_string_equal(lc_get(FN "/aliases/live", "Description"), "d");
	lc_want("PUT", FN "/aliases/live", "{\"FunctionVersion\":\"2\",\"RoutingConfig\":{}}", 200);
	lc_want("DELETE", FN "?Qualifier=1", NULL, 204);
	lc_want("GET", FN "?Qualifier=1", NULL, 404);
	lc_invoke(FN "/invocations?Qualifier=1", "{}", 404, "Function not found");
	lc_invoke(FNS "/f:live/invocations", "{}", 200, "{}");
	o = lc_call("GET", FN "/aliases?FunctionVersion=2", NULL, NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "Aliases")), 1);
	json_decref(o);
	lc_want("DELETE", FN "/aliases/live", NULL, 204);
	lc_want("GET", FN "/aliases/live", NULL, 404);
	lc_want("DELETE", FN "?Qualifier=2", NULL, 204);
	lc_update_mode("z", "Successful");
	lc_want("POST", FN "/versions", "{}", 201);
	assert_string_equal(lc_get(FN "/configuration?Qualifier=3", "Version"), "3"); /* a number is used once */
	lc_want("DELETE", FN, NULL, 204);
	host_kill();
	host_start(NULL);
	lc_want("GET", FN, NULL, 404);
	lc_create("f");
	lc_want("POST", FN "/versions", "{}", 201);
	assert_string_equal(lc_get(FN "/configuration?Qualifier=4", "Version"), "4");
	lc_want("GET", FN "?Qualifier=3", NULL, 404);
}

/* What belongs to an alias or a version goes with it: another one of that name does not get it. */
static void names_take_along_what_is_theirs(void **state)
{
	static const char statement[] = "{\"StatementId\":\"s\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\"}";

	host_start(NULL);
	lc_create("f");
	lc_want("POST", FN "/versions", "{}", 201);
	lc_want("POST", FN "/policy?Qualifier=1", statement, 201);
	lc_want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	lc_want("POST", FN "/policy?Qualifier=live", statement, 201);
	lc_want("POST", URL "?Qualifier=live", "{\"AuthType\":\"NONE\"}", 201);
	lc_want("PUT", PROV "?Qualifier=live", "{\"ProvisionedConcurrentExecutions\":1}", 202);
	lc_want("PUT", EVI "?Qualifier=live", "{\"MaximumRetryAttempts\":1}", 200);
	lc_want("DELETE", FN "/aliases/live", NULL, 204);
	lc_want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	for (int life = 0; life < 2; life++) {
		lc_want("GET", FN "/policy?Qualifier=live", NULL, 404);
		lc_want("GET", URL "?Qualifier=live", NULL, 404);
		lc_want("GET", PROV "?Qualifier=live", NULL, 404);
		lc_want("GET", EVI "?Qualifier=live", NULL, 404);
		lc_want("GET", FN "/policy?Qualifier=1", NULL, 200);
		if (life == 0) {
			host_term();
			assert_int_equal(host_wait(), 0);
			host_start(NULL);
		}
	}
	lc_want("DELETE", FN "/aliases/live", NULL, 204);
	lc_want("DELETE", FN "?Qualifier=1", NULL, 204);
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(lc_stored_rows(NULL), 1); /* $LATEST */
}

static int count_config(void *ctx, const char *function, const char *qualifier, const struct evconfig *c)
{
	++*(unsigned *)ctx;
	return 0;
}

/* Only while no host runs. */
static unsigned stored_configs(void)
{
	char path[128];
	struct stk_err err = {0};
	struct eventdb *db;
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/events.db", host_root);
	assert_int_equal(eventdb_open(path, &db, &err), 0);
	assert_int_equal(eventdb_configs(db, count_config, &n, &err), 0);
	eventdb_close(db);
	return n;
}

/* As a host leaves it that is killed between the two databases. */
static void drop_rows(void)
{
	struct store_tx *tx = store_tx_new();

	store_tx_drop_function(tx, "g");
	store_tx_drop_alias(tx, "f", "live");
	store_tx_drop_version(tx, "f", 4); /* published as 2 */
	host_commit(tx);
}

/* An event-invoke configuration does not outlive what it is for, whenever the host is killed. */
static void configurations_without_a_subject(void **state)
{
	static const char config[] = "{\"MaximumRetryAttempts\":1}", evi_g[] = "/2019-09-25/functions/g/event-invoke-config";

	host_start(NULL);
	lc_create("f");
	lc_create("g");
	lc_want("POST", FN "/versions", "{}", 201);
	lc_update_mode("y", "Successful");
	lc_want("POST", FN "/versions", "{}", 201);
	lc_want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	lc_want("PUT", evi_g, config, 200);
	lc_want("PUT", EVI, config, 200);
	lc_want("PUT", EVI "?Qualifier=1", config, 200);
	lc_want("PUT", EVI "?Qualifier=live", config, 200);
	host_kill();
	assert_int_equal(stored_configs(), 4);
	host_start(NULL);
	lc_want("GET", EVI "?Qualifier=live", NULL, 200);
	lc_want("PUT", EVI "?Qualifier=2", config, 200);
	host_kill();
	drop_rows();
	host_start(NULL);
	lc_create("g");
	lc_want("GET", evi_g, NULL, 404);
	lc_want("GET", EVI, NULL, 200);
	lc_want("GET", EVI "?Qualifier=1", NULL, 200);
	lc_want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	lc_want("GET", EVI "?Qualifier=live", NULL, 404);
	host_term();
	assert_int_equal(host_wait(), 0);
	assert_int_equal(stored_configs(), 2);
}

/* As many keys as there may be, and of any length that they may have. */
static void tags_go(void)
{
	char path[2048] = TAGS "?x=y", body[1024] = "{\"Tags\":{\"";

	for (int i = 0; i < 51; i++)
		strcat(path, "&tagKeys=k");
	lc_want("DELETE", path, NULL, 400);
	strcpy(path, TAGS "?tagKeys=");
	for (int i = 0; i < 128; i++) {
		strcat(path, "%C3%BC");
		strcat(body, "\u00fc");
	}
	strcat(body, "\":\"long\"}}");
	lc_want("POST", TAGS, body, 204);
	assert_non_null(strstr(lc_get(TAGS, "Tags"), "long"));
	lc_want("DELETE", path, NULL, 204);
	assert_null(strstr(lc_get(TAGS, "Tags"), "long"));
}

static void settings_beside(void **state)
{
	json_t *o;

	host_start(NULL);
	lc_create("f");
	lc_want("PUT", CONC, "{\"ReservedConcurrentExecutions\":7}", 200);
	lc_want("POST", TAGS, "{\"Tags\":{\"a\":\"1\",\"b\":\"2\"}}", 204);
	lc_want("DELETE", TAGS "?tagKeys=a", NULL, 204);
	lc_want("DELETE", TAGS, NULL, 400);
	tags_go();
	lc_want("POST", URL, "{\"AuthType\":\"NONE\"}", 201);
	lc_want("POST", URL, "{\"AuthType\":\"NONE\"}", 409);
	lc_want("PUT", URL, "{\"InvokeMode\":\"RESPONSE_STREAM\"}", 200);
	lc_want("POST", FN "/policy", "{\"StatementId\":\"s\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\"}", 201);
	lc_want("POST", FN "/policy", "{\"StatementId\":\"s\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\"}", 409);
	lc_want("PUT", EVI, "{\"MaximumRetryAttempts\":1}", 200);
	lc_want("PUT", PROV, "{\"ProvisionedConcurrentExecutions\":1}", 400); /* of what? */
	lc_want("PUT", PROV "?Qualifier=$LATEST", "{\"ProvisionedConcurrentExecutions\":1}", 400);
	lc_want("POST", FN "/versions", "{}", 201);
	lc_want("PUT", PROV "?Qualifier=1", "{\"ProvisionedConcurrentExecutions\":2}", 202);
	lc_wait_get(PROV "?Qualifier=1", "Status", "READY");
	host_kill();
	host_start(NULL);
	assert_string_equal(lc_get("/2019-09-30/functions/f/concurrency", "ReservedConcurrentExecutions"), "7");
	assert_string_equal(lc_get(TAGS, "Tags"), "{\"b\":\"2\"}");
	assert_string_equal(lc_get(URL, "InvokeMode"), "RESPONSE_STREAM");
	assert_non_null(strstr(lc_get(FN "/policy", "Policy"), "\"Sid\":\"s\""));
	assert_string_equal(lc_get(EVI, "MaximumRetryAttempts"), "1");
	lc_wait_get(PROV "?Qualifier=1", "Status", "READY");
	o = lc_call("GET", PROV "?List=ALL", NULL, NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "ProvisionedConcurrencyConfigs")), 1);
	json_decref(o);
	lc_want("DELETE", PROV "?Qualifier=1", NULL, 204);
	host_wait_metric("\nstoker_pool_vms{function=\"f:1\",state=\"warm\"} ", -1);
	lc_want("GET", PROV "?Qualifier=1", NULL, 404);
	lc_want("DELETE", CONC, NULL, 204);
	lc_want("DELETE", URL, NULL, 204);
	lc_want("GET", URL, NULL, 404);
	lc_want("DELETE", FN "/policy/s", NULL, 204);
	lc_want("GET", FN "/policy", NULL, 404);
	lc_want("DELETE", EVI, NULL, 204);
	lc_want("GET", EVI, NULL, 404);
}

/* A policy's revision is that of what it is for; each change of it gives another one, and a revision that the client names
 * must be that of now. */
static void policies_have_revisions(void **state)
{
	static const struct { const char *what, *shown; } subjects[] = {
		{"", FN "/configuration"}, {"?Qualifier=1", FN "/configuration?Qualifier=1"},
		{"?Qualifier=live", FN "/aliases/live"},
	};
	char path[128], body[256], was[64], first[64];

	host_start(NULL);
	lc_create("f");
	lc_want("POST", FN "/versions", "{}", 201);
	lc_want("POST", FN "/aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", 201);
	for (size_t i = 0; i < STK_ARRAY_LEN(subjects); i++) {
		snprintf(was, sizeof(was), "%s", lc_get(subjects[i].shown, "RevisionId"));
		snprintf(path, sizeof(path), FN "/policy%s", subjects[i].what);
		snprintf(body, sizeof(body), "{\"StatementId\":\"s\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\","
			 "\"RevisionId\":\"%s\"}", was);
		lc_want("POST", path, body, 201);
		snprintf(first, sizeof(first), "%s", lc_get(path, "RevisionId"));
		assert_string_not_equal(first, was);
		assert_string_equal(lc_get(subjects[i].shown, "RevisionId"), first);
		body[16] = 't'; /* another statement, the revision before */
		lc_want("POST", path, body, 412);
		snprintf(path, sizeof(path), FN "/policy/s%s%sRevisionId=%s", subjects[i].what,
			 *subjects[i].what ? "&" : "?", was);
		lc_want("DELETE", path, NULL, 412);
	}
	for (size_t i = 0; i < STK_ARRAY_LEN(subjects); i++) {
		snprintf(path, sizeof(path), FN "/policy%s", subjects[i].what);
		snprintf(was, sizeof(was), "%s", lc_get(path, "RevisionId"));
		if (i == 0) {
			host_kill();
			host_start(NULL);
			assert_string_equal(lc_get(path, "RevisionId"), was);
		}
		snprintf(path, sizeof(path), FN "/policy/s%s%sRevisionId=%s", subjects[i].what,
			 *subjects[i].what ? "&" : "?", was);
		lc_want("DELETE", path, NULL, 204);
		assert_string_not_equal(lc_get(subjects[i].shown, "RevisionId"), was);
	}
	lc_want("POST", FN "/policy?Qualifier=$LATEST",
	     "{\"StatementId\":\"s\",\"Action\":\"lambda:*\",\"Principal\":\"*\"}", 400);
}

/* --- settings that the Lambda API does not have ------------------------------------------------------------- */

static unsigned versions_seen;

static void note_settings(const struct store_version *v)
{
	static const char secret[] = "PASS=word", env[] = "A1=b";

	versions_seen++;
	assert_int_equal(v->settings.reuse, FN_RESET);
	assert_int_equal(v->settings.secrets_len, sizeof(secret));
	assert_memory_equal(v->settings.secrets, secret, sizeof(secret));
	assert_int_equal(v->settings.env_len, sizeof(env));
	assert_memory_equal(v->settings.env, env, sizeof(env));
	assert_int_equal(v->settings.memory_mib, 256);
}

/* What a function was deployed with over the host's own API stays through updates that do not name it. */
static void settings_of_the_host_survive(void **state)
{
	host_start(NULL);
	json_decref(lc_deploy("f", "&memory=256&reuse=reset&env=A1%3Db&secret=PASS%3Dword", 201));
	lc_want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_2 "\"}", 200);
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	assert_string_equal(lc_get("/v1/functions/f", "reuse"), "reset");
	lc_want("PUT", FN "/configuration", "{\"Timeout\":5}", 200);
	lc_want("PUT", FN "/configuration", "{\"Handler\":\"a.c\"}", 200);
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	lc_want("POST", FN "/versions", "{}", 201);
	lc_want("POST", TAGS, "{\"Tags\":{\"a\":\"1\"}}", 204);
	lc_want("PUT", FN "/code", "{\"ZipFile\":\"" ZIP_1 "\",\"Publish\":true}", 200);
	lc_wait_get(FN "/configuration?Qualifier=2", "State", "Active");
	assert_string_equal(lc_get("/v1/functions/f", "reuse"), "reset");
	host_term();
	assert_int_equal(host_wait(), 0);
	versions_seen = 0;
	lc_stored_rows(note_settings);
	assert_int_equal(versions_seen, 3);
}

/* The tag counts from the moment it is there, and until it goes; a deploy that says otherwise has the last word. */
static void reuse_by_tag(void **state)
{
	host_start(NULL);
	lc_want("POST", FNS, lc_creation("f", "x", ",\"Tags\":{\"stoker:reuse\":\"reset\",\"a\":\"1\"}"), 201);
	lc_wait_get(FN "/configuration", "State", "Active");
	assert_string_equal(lc_get("/v1/functions/f", "reuse"), "reset");
	lc_want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"destroy\"}}", 204);
	assert_string_equal(lc_get("/v1/functions/f", "reuse"), "destroy");
	lc_want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 204);
	lc_update_mode("y", "Successful");
	host_kill();
	host_start(NULL);
	assert_string_equal(lc_get("/v1/functions/f", "reuse"), "reset");
	lc_want("DELETE", TAGS "?tagKeys=stoker:reuse", NULL, 204);
	assert_string_equal(lc_get("/v1/functions/f", "reuse"), "destroy");
	lc_update_mode("z", "Successful");
	assert_string_equal(lc_get("/v1/functions/f", "reuse"), "destroy");
	lc_want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 204);
	host_kill();
	host_start(NULL);
	assert_string_equal(lc_get("/v1/functions/f", "reuse"), "reset");
	json_decref(lc_deploy("f", "&reuse=destroy", 200));
	for (int life = 0; life < 2; life++) {
		assert_string_equal(lc_get("/v1/functions/f", "reuse"), "destroy");
		assert_string_equal(lc_get(TAGS, "Tags"), "{\"a\":\"1\"}");
		if (life == 0) {
			host_kill();
			host_start(NULL);
		}
	}
	lc_update_mode("be-held", "InProgress"); /* whoever builds writes the version */
	lc_want("POST", TAGS, "{\"Tags\":{\"b\":\"1\"}}", 204);
	lc_want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 409);
	host_touch("go");
	lc_wait_get(FN "/configuration", "LastUpdateStatus", "Successful");
	lc_want("POST", TAGS, "{\"Tags\":{\"stoker:reuse\":\"reset\"}}", 204);
	lc_invoke(FN "/invocations", "{}", 200, "{}");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		LC_TEST(versions_and_aliases),
		LC_TEST(names_take_along_what_is_theirs),
		LC_TEST(configurations_without_a_subject),
		LC_TEST(settings_beside),
		LC_TEST(policies_have_revisions),
		LC_TEST(settings_of_the_host_survive),
		LC_TEST(reuse_by_tag),
	};

	if (!lc_begin(argc, argv))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
