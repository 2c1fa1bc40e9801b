'use strict';
// Streamed answers: awslambda.streamifyResponse((event, responseStream, context) => ...).

const { Writable } = require('node:stream');
const { reportOf } = require('./errors.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response';

// The request to the Runtime API begins with the first byte, so that until then an error is an ordinary one.
class ResponseStream extends Writable {
	#api;
	#path;
	#type = 'application/octet-stream';
	#request = null;
	#answered;
	#settle;

	constructor(api, requestId) {
		super({ highWaterMark: 65536 });
		this.#api = api;
		this.#path = `invocation/${requestId}/response`;
		this.#answered = new Promise((resolve) => { this.#settle = resolve; });
	}

	get begun() {
		return this.#request !== null;
	}

	setContentType(type) {
		if (this.#request)
			throw new Error('the content type cannot be changed once the answer has begun');
		this.#type = type;
	}

	// Anything but text and bytes is sent as JSON.
	write(chunk, encoding, callback) {
		if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array))
			chunk = JSON.stringify(chunk);
		return super.write(chunk, encoding, callback);
	}

	#open() {
		if (this.#request)
			return this.#request;
		this.#request = this.#api.open('POST', this.#path, {
			'Content-Type': this.#type,
			'Transfer-Encoding': 'chunked',
			'Lambda-Runtime-Function-Response-Mode': 'streaming',
			'Trailer': 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
		}, (error) => this.#settle(error));
		this._onBeforeFirstWrite?.((part) => this.#request.write(part));
		return this.#request;
	}

	_write(chunk, encoding, callback) {
		this.#open().write(chunk, encoding, callback);
	}

	_final(callback) {
		this.#open().end();
		this.#answered.then(callback);
	}

	// The answer has begun: the failure goes behind it.
	async fail(error) {
		const report = reportOf(error);
		this.#request.addTrailers({
			'Lambda-Runtime-Function-Error-Type': report.errorType.replace(/[^\x21-\x7e]/g, '?'),
			'Lambda-Runtime-Function-Error-Body': Buffer.from(JSON.stringify(report)).toString('base64') });
		this.#request.end();
		await this.#answered;
		this.destroy();
	}
}

class HttpResponseStream {
	// Status, headers and cookies for the HTTP answer; returns the stream to write its body to.
	static from(stream, prelude) {
		const text = JSON.stringify(prelude);
		stream.setContentType(HTTP_TYPE);
		stream._onBeforeFirstWrite = (write) => {
			write(text);
			write(new Uint8Array(8)); // the body follows
		};
		return stream;
	}
}

function install() {
	globalThis.awslambda = {
		...globalThis.awslambda,
		HttpResponseStream,
		streamifyResponse(handler) {
			handler[STREAMING] = 'response';
			return handler;
		},
	};
}

module.exports = { install, ResponseStream, isStreaming: (handler) => handler[STREAMING] === 'response' };
