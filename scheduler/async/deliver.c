/* Sending results: see deliver.h. */
#include "scheduler/async/deliver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>

#include "common/host/http_client.h"
#include "scheduler/async/weburl.h"

#define ANSWER_MAX 65536 /* nobody reads it; more is an error */

/* --- TLS ----------------------------------------------------------------------------------------- */

static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static SSL_CTX *context; /* as long as the process */

static void make_context(void)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());

	if (c && SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) && SSL_CTX_set_default_verify_paths(c)) {
		SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		context = c;
	} else {
		SSL_CTX_free(c);
	}
}

struct tls {
	SSL *ssl;
	struct http_client *client;
};

/* After a call that did not succeed: 0 to try again, or negative errno. */
static int wait_tls(const struct tls *t, int result)
{
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return http_client_wait(t->client, POLLIN);
	case SSL_ERROR_WANT_WRITE:
		return http_client_wait(t->client, POLLOUT);
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	default:
		return -ECONNRESET;
	}
}

static ssize_t tls_read(void *ctx, void *buf, size_t len)
{
	struct tls *t = ctx;

	for (;;) {
		int n, rc;

		/* A peer that always has another byte for us: the limit holds. */
		if (http_client_expired(t->client))
			return -ETIMEDOUT;
		ERR_clear_error();
		n = SSL_read(t->ssl, buf, (int)len);
		if (n > 0)
			return n;
		rc = wait_tls(t, n);
		if (rc)
			return rc == -EPIPE ? 0 : rc;
	}
}

static ssize_t tls_write(void *ctx, const void *buf, size_t len)
{
	struct tls *t = ctx;

	for (;;) {
		int n, rc;

		ERR_clear_error();
		n = SSL_write(t->ssl, buf, len > 16384 ? 16384 : (int)len);
		if (n > 0)
			return n;
		rc = wait_tls(t, n);
		if (rc)
			return rc;
	}
}

/* The name or address that the certificate must be for. */
static int expect_peer(SSL *ssl, const struct weburl *u)
{
	unsigned char addr[16];
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (inet_pton(AF_INET, u->host, addr) == 1 || inet_pton(AF_INET6, u->host, addr) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(param, u->host);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, u->host) && SSL_set1_host(ssl, u->host);
}

static int handshake(struct tls *t, const struct weburl *u, struct stk_err *err)
{
	char reason[160];
	int rc = 0, n;

	if (!expect_peer(t->ssl, u) || !SSL_set_fd(t->ssl, http_client_fd(t->client)))
		return stk_err_set(err, -ENOMEM, "TLS could not be set up");
	ERR_clear_error();
	while (rc == 0 && (n = SSL_connect(t->ssl)) != 1)
		rc = wait_tls(t, n);
	if (rc == 0)
		return 0;
	if (SSL_get_verify_result(t->ssl) != X509_V_OK)
		return stk_err_set(err, -EPROTO, "%s: the certificate is not accepted: %s", u->authority,
				   X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
	if (rc == -ETIMEDOUT)
		return stk_err_set(err, rc, "%s: the TLS handshake took too long", u->authority);
	ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
	return stk_err_set(err, -EPROTO, "%s: TLS handshake: %s", u->authority, reason);
}

/* --- request -------------------------------------------------------------------------------------- */

static int post(struct http_client *c, const struct weburl *u, const char *headers, const void *body, size_t len,
		int *ret_status, struct stk_err *err)
{
	struct http_client_resp r;
	int rc = http_client_request(c, "POST", u->path, headers, body, len, ANSWER_MAX, &r, err);

	if (rc)
		return rc;
	*ret_status = r.status;
	http_client_resp_fini(&r);
	return 0;
}

static int post_tls(struct http_client *c, const struct weburl *u, const char *headers, const void *body, size_t len,
		    int *ret_status, struct stk_err *err)
{
	struct tls t = {.client = c};
	struct http_client_stream stream = {&t, tls_read, tls_write};
	int rc;

	pthread_once(&context_once, make_context);
	t.ssl = context ? SSL_new(context) : NULL;
	if (!t.ssl)
		return stk_err_set(err, -ENOMEM, "TLS could not be set up");
	rc = handshake(&t, u, err);
	if (rc == 0) {
		http_client_set_stream(c, &stream);
		rc = post(c, u, headers, body, len, ret_status, err);
		/* Said, not waited for: the connection is closed next. */
		if (rc == 0 && http_client_fd(c) >= 0)
			SSL_shutdown(t.ssl);
	}
	SSL_free(t.ssl);
	ERR_clear_error();
	return rc;
}

static bool (*may_connect)(const struct sockaddr *addr);

void deliver_restrict(bool (*allowed)(const struct sockaddr *addr))
{
	may_connect = allowed;
}

int deliver_post(const char *url, const char *headers, const void *body, size_t len, int *ret_status,
		 struct stk_err *err)
{
	struct http_client *c = NULL;
	struct weburl u;
	int rc = weburl_parse(url, &u, err);

	if (rc)
		return rc;
	rc = http_client_connect_if(u.authority, DELIVER_CONNECT_MS, may_connect, &c, err);
	if (rc)
		return rc;
	http_client_limit(c, DELIVER_LIMIT_MS);
	rc = (u.tls ? post_tls : post)(c, &u, headers, body, len, ret_status, err);
	http_client_free(c);
	return rc;
}
