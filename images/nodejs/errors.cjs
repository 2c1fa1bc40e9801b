'use strict';
// Errors as the Runtime API takes them: {errorType, errorMessage, trace}.

class RuntimeError extends Error {
	constructor(type, message, cause) {
		super(message);
		this.name = type;
		if (cause?.stack)
			this.stack = `${type}: ${message}\n${String(cause.stack).split('\n').slice(1).join('\n')}`;
	}
}

function reportOf(error) {
	try {
		if (error instanceof Error || (error && typeof error === 'object' && typeof error.stack === 'string' &&
			'message' in error))
			return { errorType: String(error.name ?? 'Error'), errorMessage: String(error.message),
				trace: String(error.stack || '').split('\n') };
		return { errorType: typeof error, errorMessage: String(error), trace: [] };
	} catch {
		return { errorType: 'Error', errorMessage: 'the error could not be read', trace: [] };
	}
}

// As one line of the log.
function logOf(error) {
	const extra = error instanceof Error ? Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'name')) : {};
	const { errorType, errorMessage, trace } = reportOf(error);
	try {
		return JSON.stringify({ errorType, errorMessage, ...extra, stack: trace });
	} catch { // an own property that is no JSON
		return JSON.stringify({ errorType, errorMessage, stack: trace });
	}
}

module.exports = { RuntimeError, reportOf, logOf };
