/* The one thing that Node.js offers no way to do: make OpenSSL's random generator take new seed from the kernel. Its
 * state is memory of the process, so all clones of a snapshot would give the same numbers. A Node-API module with
 * one function, seed(); built into the runtime image, where libcrypto is the one that node itself uses. */
#include <stddef.h>

#include <openssl/rand.h>

/* Node-API's ABI is stable; these few are all that is used of node_api.h. */
typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);

int napi_create_function(napi_env env, const char *name, size_t len, napi_callback cb, void *data, napi_value *ret);
int napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);
int napi_get_boolean(napi_env env, _Bool value, napi_value *ret);
napi_value napi_register_module_v1(napi_env env, napi_value exports);

/* True when the generator is seeded. RAND_poll takes new seed into the primary generator; those that threads have
 * follow it at their next use. */
static napi_value seed(napi_env env, napi_callback_info info)
{
	napi_value ret = NULL;

	(void)info;
	napi_get_boolean(env, RAND_poll() == 1 && RAND_status() == 1, &ret);
	return ret;
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	napi_value function;

	if (napi_create_function(env, "seed", 4, seed, NULL, &function) == 0)
		napi_set_named_property(env, exports, "seed", function);
	return exports;
}
