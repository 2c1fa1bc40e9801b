'use strict';
// The Lambda Runtime API over one kept-alive connection.

const http = require('node:http');

const BASE = '/2018-06-01/runtime/';

class Api {
	constructor(address) {
		const colon = address.lastIndexOf(':');
		this.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		this.where = { host: address.slice(0, colon), port: Number(address.slice(colon + 1)), agent: this.agent };
	}

	// A request that is still to be written and ended. answered(error, status, headers, body) is called once.
	open(method, path, headers, answered) {
		const request = http.request({ ...this.where, method, path: BASE + path, headers }, (response) => {
			const parts = [];
			response.on('data', (part) => parts.push(part));
			response.on('end', () => answered(null, response.statusCode, response.headers,
				parts.length === 1 ? parts[0] : Buffer.concat(parts)));
			response.on('error', answered);
		});
		request.on('error', answered);
		return request;
	}

	#send(method, path, headers, body) {
		return new Promise((resolve, reject) => {
			this.open(method, path, headers, (error, status, answerHeaders, answer) =>
				error ? reject(error) : resolve({ status, headers: answerHeaders, body: answer })).end(body);
		});
	}

	next() {
		return this.#send('GET', 'invocation/next?warm=1', {});
	}

	post(path, body, headers) {
		return this.#send('POST', path, {
			'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...headers }, body);
	}
}

module.exports = { Api };
