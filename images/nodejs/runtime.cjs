'use strict';
// Runtime client for Node.js functions: loads the handler, then serves the Lambda Runtime API. The machine's snapshot
// is taken while the first `next` waits; what the first call needs is used once before.

const { Api } = require('./api.cjs');
const { contextOf } = require('./context.cjs');
const { RuntimeError, reportOf } = require('./errors.cjs');
const { loadHandler } = require('./loader.cjs');
const logs = require('./logs.cjs');
const stream = require('./stream.cjs');
const unique = require('./unique.cjs');
const hooks = require('./node_modules/stoker-runtime');

const api = new Api(process.env.AWS_LAMBDA_RUNTIME_API);
let running = null; // request id of the invocation under way
let ended = false;  // an error that ends this process is on its way

// --- ends ---------------------------------------------------------------------------------------

// Reports an error that nothing in the function caught, then ends.
async function end(error, status) {
	if (ended)
		return;
	ended = true;
	logs.error('Uncaught Exception', error);
	const body = JSON.stringify(reportOf(error));
	try {
		await api.post(running ? `invocation/${running}/error` : 'init/error', body);
	} catch (problem) {
		logs.line('ERROR', `the Runtime API is gone: ${problem.message}`);
	}
	process.exit(status);
}

process.on('uncaughtException', (error) => end(error, 129));
process.on('unhandledRejection', (reason) => {
	const error = new RuntimeError('Runtime.UnhandledPromiseRejection', String(reason), reason);
	error.reason = reason;
	end(error, 128);
});

// Resolves when nothing is left to happen.
function idle() {
	return new Promise((resolve) => process.once('beforeExit', () => setImmediate(resolve)));
}

// --- one invocation -------------------------------------------------------------------------------

// What the function says, in whichever of the ways it likes: a promise, a callback, or the context's methods.
function call(handler, self, event, context) {
	return new Promise((resolve, reject) => {
		const left = idle();
		let late = null; // what is said when nothing is left to happen
		const callback = (error, value) => {
			if (error !== null && error !== undefined)
				reject(error);
			else if (context.callbackWaitsForEmptyEventLoop)
				late = value;
			else
				resolve(value);
		};
		context.done = (error, value) => {
			context.callbackWaitsForEmptyEventLoop = false;
			callback(error, value);
		};
		context.succeed = (value) => context.done(null, value);
		context.fail = (error) => context.done(error ?? 'handled');
		const result = handler.call(self, event, context, callback);
		if (typeof result?.then === 'function') {
			left.then(() => reject(new RuntimeError('Runtime.NodeJsExit',
				'nothing is left to do and the promise of the handler was never settled')));
			result.then(resolve, reject);
		} else {
			left.then(() => resolve(late));
		}
	});
}

async function stream_(handler, self, event, context, id) {
	const out = new stream.ResponseStream(api, id);
	const finished = new Promise((resolve, reject) => out.on('finish', resolve).on('error', reject));
	const left = idle();
	finished.catch(() => {}); // looked at below
	try {
		const result = handler.call(self, event, out, context);
		if (typeof result?.then === 'function') {
			left.then(() => out.writableEnded || out.end());
			await Promise.race([result, finished]);
		}
		if (!out.writableEnded)
			left.then(() => out.end());
		await finished;
	} catch (error) {
		if (!out.begun)
			throw error;
		logs.error('Invoke Error', error);
		await out.fail(error);
	}
}

function encoded(result) {
	try {
		return JSON.stringify(result === undefined ? null : result) ?? 'null';
	} catch (error) {
		throw new RuntimeError('Runtime.MarshalError', `Unable to stringify response body: ${error.message}`);
	}
}

async function restored() {
	unique.reseed();
	if (!hooks._hasAfterRestore())
		return;
	try {
		await hooks._runAfterRestore();
	} catch (error) {
		throw new RuntimeError('Runtime.AfterRestoreError', reportOf(error).errorMessage, error);
	}
}

function eventOf(body) {
	try {
		return body.length ? JSON.parse(body.toString()) : {};
	} catch (error) {
		throw new RuntimeError('Runtime.UnmarshalError', `Unable to parse input as JSON: ${error.message}`);
	}
}

async function serve({ handler, self }, headers, body) {
	running = headers['lambda-runtime-aws-request-id'];
	logs.setRequestId(running);
	if (headers['lambda-runtime-trace-id'])
		process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
	let what = 'response', answer;
	try {
		await restored();
		const event = eventOf(body), context = contextOf(headers);
		if (stream.isStreaming(handler))
			return await stream_(handler, self, event, context, running);
		answer = encoded(await call(handler, self, event, context));
	} catch (error) {
		what = 'error';
		answer = JSON.stringify(reportOf(error));
		logs.error('Invoke Error', error);
	}
	if (!ended)
		await api.post(`invocation/${running}/${what}`, answer);
}

// --- init phase -----------------------------------------------------------------------------------

// Uses once, without the function's code, what its first call uses: before the snapshot, so that nothing is left to
// load and compile; and in a clone that waits for its call, so that its pages are there.
async function warmUp() {
	await api.post('warm-up', encoded({ text: ['\u00e9', 1, 1.5, null, true] })); // answered 404
	contextOf({ 'lambda-runtime-deadline-ms': '1' }).getRemainingTimeInMillis();
	eventOf(Buffer.from('{"text": ["\\u00e9", 1, 1.5, null, true]}'));
	await call(async () => Math.random(), null, {}, {});
	unique.reseed();
}

async function init() {
	unique.prepare();
	stream.install();
	logs.patchConsole();
	const found = await loadHandler(process.env.LAMBDA_TASK_ROOT || process.cwd(), process.env._HANDLER || '');
	await warmUp();
	await hooks._runBeforeSnapshot();
	return found;
}

async function main() {
	let found;
	try {
		found = await init();
	} catch (error) {
		return end(error, 1);
	}
	globalThis.gc?.();
	for (;;) {
		const { status, headers, body } = await api.next();
		if (status === 204) {
			await warmUp();
			continue;
		}
		if (status !== 200)
			return end(new RuntimeError('Runtime.Unexpected', `next answered ${status}`), 1);
		await serve(found, headers, body);
		running = null;
	}
}

main().catch((error) => end(error, 1));
