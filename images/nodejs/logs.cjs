'use strict';
// console.* as lines of time, request id, level and text, separated by tabs; or, with LogFormat JSON, as objects.

const { formatWithOptions } = require('node:util');
const { logOf } = require('./errors.cjs');

const json = process.env.AWS_LAMBDA_LOG_FORMAT === 'JSON' ? require('./logs_json.cjs') : null;
let requestId;

function text(level, what) {
	process.stdout.write(`${new Date().toISOString()}\t${requestId}\t${level}\t${what}\n`);
}

// A line of the client's own.
function line(level, what) {
	json ? json.write(level, requestId, [what]) : text(level, what);
}

// An error that ends something of the function's; `what` says what.
function error(what, thrown) {
	json ? json.write('ERROR', requestId, [thrown]) : text('ERROR', `${what} \t${logOf(thrown)}`);
}

function patchConsole() {
	const levels = { log: 'INFO', info: 'INFO', debug: 'DEBUG', warn: 'WARN', error: 'ERROR', fatal: 'FATAL' };
	for (const [name, level] of Object.entries(levels))
		console[name] = json ? (...what) => json.write(level, requestId, what)
			: (...what) => text(level, formatWithOptions({ colors: false }, ...what));
	console.trace = function trace(...what) {
		if (json)
			return json.write('TRACE', requestId, what);
		const at = { name: 'Trace', message: formatWithOptions({ colors: false }, ...what) };
		Error.captureStackTrace(at, trace);
		text('TRACE', at.stack);
	};
}

module.exports = { error, line, patchConsole, setRequestId: (id) => { requestId = id; } };
