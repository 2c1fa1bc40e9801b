'use strict';
// console.* as lines of time, request id, level and text, separated by tabs.

const { formatWithOptions } = require('node:util');

let requestId = 'undefined';

function line(level, text) {
	process.stdout.write(`${new Date().toISOString()}\t${requestId}\t${level}\t${text}\n`);
}

function patchConsole() {
	const levels = { log: 'INFO', info: 'INFO', debug: 'DEBUG', warn: 'WARN', error: 'ERROR' };
	for (const [name, level] of Object.entries(levels))
		console[name] = (...what) => line(level, formatWithOptions({ colors: false }, ...what));
	console.trace = function trace(...what) {
		const at = { name: 'Trace', message: formatWithOptions({ colors: false }, ...what) };
		Error.captureStackTrace(at, trace);
		line('TRACE', at.stack);
	};
	console.fatal = (...what) => line('FATAL', formatWithOptions({ colors: false }, ...what));
}

module.exports = { line, patchConsole, setRequestId: (id) => { requestId = id; } };
