'use strict';
// Logs as JSON objects, one on a line, for functions with LogFormat JSON. The members are Lambda's.

const { formatWithOptions } = require('node:util');
const { RuntimeError } = require('./errors.cjs');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const least = Math.max(LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL), 0);

function fieldsOf(error) {
	return {
		errorType: (error instanceof RuntimeError ? error.name : error.constructor?.name) ?? 'UnknownError',
		errorMessage: error.message,
		stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
	};
}

// One value stays what it is; of several a text is made, and the first error among them has members of its own.
function textOf(head, what) {
	if (what.length === 1) {
		try {
			return JSON.stringify({ ...head, message: what[0] },
				(_, value) => value instanceof Error ? { ...fieldsOf(value), ...value } : value);
		} catch { // a value that is no JSON
		}
	}
	const error = what.length > 1 ? what.find((value) => value instanceof Error) : undefined;
	return JSON.stringify({ ...head, message: formatWithOptions({ colors: false }, ...what), ...(error && fieldsOf(error)) });
}

function write(level, requestId, what) {
	if (LEVELS.indexOf(level) >= least)
		process.stdout.write(`${textOf({ timestamp: new Date().toISOString(), level, requestId }, what)}\n`);
}

module.exports = { write };
