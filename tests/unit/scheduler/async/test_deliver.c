/* Sending to http and https addresses: a server of each kind on loopback, certificates made here. */
#include "scheduler/async/deliver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "scheduler/async/netaddr.h"
#include "tests/unit/unit.h"

static struct stk_err err;
static char ca_file[64] = "/tmp/stoker-ca-XXXXXX";

/* --- a server that answers one request ---------------------------------------------------------------- */

static int listen_fd;
static unsigned port;
static pthread_t thread;
static SSL_CTX *server_tls; /* NULL: plain */
static const char *reply;
static char *got;
static size_t got_len, want_len;

static int get(int fd, SSL *ssl, char *buf, int n)
{
	return ssl ? SSL_read(ssl, buf, n) : (int)read(fd, buf, (size_t)n);
}

static void *serve(void *arg)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), n;
	SSL *ssl = NULL;
	char buf[16384];
	bool on = fd >= 0;

	if (on && server_tls) {
		ssl = SSL_new(server_tls);
		on = SSL_set_fd(ssl, fd) && SSL_accept(ssl) == 1;
	}
	while (on && got_len < want_len && (n = get(fd, ssl, buf, sizeof(buf))) > 0) {
		got = realloc(got, got_len + (size_t)n + 1);
		memcpy(got + got_len, buf, (size_t)n);
		got_len += (size_t)n;
		got[got_len] = '\0';
		if (want_len == 1) /* one read is enough */
			break;
	}
	if (on && ssl)
		SSL_write(ssl, reply, (int)strlen(reply));
	else if (on)
		send(fd, reply, strlen(reply), MSG_NOSIGNAL);
	if (on && ssl)
		SSL_shutdown(ssl);
	/* What is not read would make the kernel take the answer back. */
	shutdown(fd, SHUT_WR);
	while (on && read(fd, buf, sizeof(buf)) > 0)
		;
	SSL_free(ssl);
	close(fd);
	return NULL;
}

static void start(SSL_CTX *tls, const char *text, size_t want)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	server_tls = tls;
	reply = text;
	want_len = want;
	got_len = 0;
	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listen_fd, 4), 0);
	getsockname(listen_fd, (struct sockaddr *)&a, &len);
	port = ntohs(a.sin_port);
	pthread_create(&thread, NULL, serve, NULL);
}

static int post_to(const char *scheme_host, const void *body, size_t len, int *ret_status)
{
	char url[128];
	int rc;

	snprintf(url, sizeof(url), "%s:%u/hook?a=b", scheme_host, port);
	rc = deliver_post(url, "X-Call-Id: 7\r\n", body, len, ret_status, &err);
	pthread_join(thread, NULL);
	close(listen_fd);
	return rc;
}

/* --- certificates ------------------------------------------------------------------------------------- */

static SSL_CTX *make_server(const char *names, bool trusted)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), random() % 100000 + 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)names, -1, -1, 0);
	X509_set_issuer_name(cert, subject);
	X509_set_pubkey(cert, key);
	X509_add_ext(cert, san, -1);
	assert_true(X509_sign(cert, key, EVP_sha256()));
	assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	if (trusted) {
		FILE *f = fopen(ca_file, "a");

		assert_true(PEM_write_X509(f, cert));
		fclose(f);
	}
	X509_EXTENSION_free(san);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

static SSL_CTX *good, *other, *unknown, *old;

static int setup(void **state)
{
	int fd = mkstemp(ca_file);

	if (fd < 0)
		return -1;
	close(fd);
	good = make_server("DNS:localhost,IP:127.0.0.1", true);
	old = make_server("DNS:localhost,IP:127.0.0.1,DNS:old", true);
	SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
	other = make_server("DNS:elsewhere.example", true);
	unknown = make_server("DNS:localhost,IP:127.0.0.1,DNS:x", false);
	return setenv("SSL_CERT_FILE", ca_file, 1);
}

static int teardown(void **state)
{
	SSL_CTX_free(good);
	SSL_CTX_free(other);
	SSL_CTX_free(unknown);
	SSL_CTX_free(old);
	free(got);
	return unlink(ca_file);
}

/* --- tests -------------------------------------------------------------------------------------------- */

static void plain(void **state)
{
	int status = 0;

	start(NULL, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 1);
	assert_int_equal(post_to("http://127.0.0.1", "{}", 2, &status), 0);
	assert_int_equal(status, 202);
	assert_non_null(strstr(got, "POST /hook?a=b HTTP/1.1\r\n"));
	assert_non_null(strstr(got, "X-Call-Id: 7\r\n"));
	assert_non_null(strstr(got, "Content-Length: 2\r\n"));
	/* a redirect is an answer */
	start(NULL, "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 1);
	assert_int_equal(post_to("http://127.0.0.1", NULL, 0, &status), 0);
	assert_int_equal(status, 307);
	start(NULL, "", 1);
	assert_true(post_to("http://127.0.0.1", "x", 1, &status) < 0);
	assert_int_equal(deliver_post("http://127.0.0.1:1/", NULL, "x", 1, &status, &err), -ECONNREFUSED);
	assert_int_equal(deliver_post("http://no.such.host.invalid/", NULL, "x", 1, &status, &err), -EHOSTUNREACH);
	assert_int_equal(deliver_post("gopher://h/", NULL, "x", 1, &status, &err), -EINVAL);
}

/* Whatever the name, the addresses count; nothing is sent, nothing connected. */
static void restricted(void **state)
{
	int status = 0;

	deliver_restrict(netaddr_public);
	assert_int_equal(deliver_post("http://127.0.0.1:1/", NULL, "x", 1, &status, &err), -EACCES);
	assert_int_equal(deliver_post("https://localhost:1/", NULL, "x", 1, &status, &err), -EACCES);
	assert_int_equal(deliver_post("http://2130706433:1/", NULL, "x", 1, &status, &err), -EACCES);
	assert_int_equal(deliver_post("http://0x7f.1:1/", NULL, "x", 1, &status, &err), -EACCES);
	assert_int_equal(deliver_post("http://[::ffff:10.0.0.1]:1/", NULL, "x", 1, &status, &err), -EACCES);
	deliver_restrict(NULL);
	assert_int_equal(deliver_post("http://127.0.0.1:1/", NULL, "x", 1, &status, &err), -ECONNREFUSED);
}

static void encrypted(void **state)
{
	size_t len = 3 << 20;
	char *big = malloc(len);
	int status = 0;

	start(good, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1);
	if (post_to("https://127.0.0.1", "{\"a\":1}", 7, &status))
		fail_msg("%s", err.text);
	assert_int_equal(status, 200);
	assert_non_null(strstr(got, "POST /hook?a=b HTTP/1.1\r\n"));
	/* more than socket buffers hold; the answer ends with the connection */
	memset(big, 'z', len);
	start(good, "HTTP/1.1 201 Created\r\n\r\n", len);
	if (post_to("https://localhost", big, len, &status))
		fail_msg("%s", err.text);
	assert_int_equal(status, 201);
	assert_true(got_len >= len && strspn(got + got_len - 1000, "z") == 1000);
	free(big);
}

static void not_trusted(void **state)
{
	int status = 0;

	start(unknown, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1);
	assert_int_equal(post_to("https://127.0.0.1", "secret", 6, &status), -EPROTO);
	assert_non_null(strstr(err.text, "certificate"));
	assert_int_equal(got_len, 0);
	start(other, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1);
	assert_int_equal(post_to("https://localhost", "secret", 6, &status), -EPROTO);
	assert_non_null(strstr(err.text, "certificate"));
	start(other, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1);
	assert_int_equal(post_to("https://127.0.0.1", "secret", 6, &status), -EPROTO);
	assert_int_equal(got_len, 0);
	start(old, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1);
	assert_int_equal(post_to("https://127.0.0.1", "secret", 6, &status), -EPROTO);
	start(NULL, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1); /* no TLS there */
	assert_int_equal(post_to("https://127.0.0.1", "secret", 6, &status), -EPROTO);
	assert_null(memmem(got, got_len, "secret", 6));
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain), cmocka_unit_test(restricted), cmocka_unit_test(encrypted), cmocka_unit_test(not_trusted),
	};

	unit_time_limit(120);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
