// A function's life with the SDK for JavaScript, version 3: life.mjs URL ZIP ROLE FAILING-ZIP. Prints each step that was right.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as aws from "@aws-sdk/client-lambda";

const [url, zip, Role, failing] = process.argv.slice(2);
const FunctionName = "js-function";
const client = new aws.LambdaClient({ endpoint: url, maxAttempts: 1 });
const send = (command, input) => client.send(new aws[command + "Command"]({ FunctionName, ...input }));
const text = (payload) => Buffer.from(payload).toString();
const wait = { client, minDelay: 1, maxDelay: 1, maxWaitTime: 120 };

async function refused(name, promise) {
	await assert.rejects(promise, (e) => {
		assert.equal(e.name, name);
		assert.ok(e instanceof aws[name], `${name} is of its own class`);
		assert.match(e.$metadata.requestId, /^[0-9a-f-]{36}$/);
		return true;
	});
}

const Code = { ZipFile: readFileSync(zip) };
const create = { Runtime: "provided.al2023", Handler: "bootstrap", Role, Timeout: 60, Code };
const made = await send("CreateFunction", create);
assert.equal(made.$metadata.httpStatusCode, 201);
assert.equal(made.State, "Pending");
console.log("create");

await refused("ResourceConflictException", send("CreateFunction", create));
console.log("conflict");

await aws.waitUntilFunctionExists(wait, { FunctionName });
await aws.waitUntilFunctionActiveV2(wait, { FunctionName });
console.log("active");

let got = await send("Invoke", { Payload: '{"k":1}' });
assert.deepEqual([got.StatusCode, got.ExecutedVersion, text(got.Payload)], [200, "$LATEST", '{"k":1}']);
assert.equal(got.FunctionError, undefined);
got = await send("Invoke", { InvocationType: "DryRun" });
assert.equal(got.StatusCode, 204);
got = await send("Invoke", { InvocationType: "Event", Payload: "{}" });
assert.equal(got.StatusCode, 202);
console.log("invoke");

await refused("ResourceNotFoundException", send("GetFunction", { FunctionName: "nobody" }));
await refused("InvalidRequestContentException", send("Invoke", { Payload: "{" }));
const wrong = { ...create, FunctionName: "other", Runtime: "none" };
await refused("InvalidParameterValueException", send("CreateFunction", wrong));
console.log("error-class");

await refused("PreconditionFailedException", send("UpdateFunctionConfiguration", { Timeout: 9, RevisionId: "old" }));
console.log("precondition");

got = await send("Invoke", { Payload: '"log"', LogType: "Tail" });
const tail = Buffer.from(got.LogResult, "base64").toString();
assert.match(tail, /^START RequestId: .*\nEND RequestId: .*\nREPORT RequestId: /m);
console.log("tail");

got = await send("UpdateFunctionConfiguration", { MemorySize: 192, Environment: { Variables: { COLOUR: "red" } } });
assert.deepEqual([got.State, got.LastUpdateStatus, got.MemorySize], ["Active", "InProgress", 192]);
console.log("update");
await aws.waitUntilFunctionUpdatedV2(wait, { FunctionName });
console.log("updated");

got = await send("PublishVersion", { Description: "one" });
assert.deepEqual([got.Version, got.Description], ["1", "one"]);
await aws.waitUntilPublishedVersionActive(wait, { FunctionName, Qualifier: "1" });
console.log("publish");

await send("CreateAlias", { Name: "prod", FunctionVersion: "1" });
got = await send("Invoke", { Qualifier: "prod", Payload: "[2]" });
assert.deepEqual([got.ExecutedVersion, text(got.Payload)], ["1", "[2]"]);
console.log("alias");

got = await send("UpdateFunctionCode", { ZipFile: readFileSync(failing) });
assert.equal(got.LastUpdateStatus, "InProgress");
await aws.waitUntilFunctionUpdatedV2(wait, { FunctionName });
for (const [what, type] of [["error", "Shell.Error"], ["exit 3", "Runtime.ExitError"]]) {
	got = await send("Invoke", { Payload: JSON.stringify({ do: what }) });
	assert.deepEqual([got.StatusCode, got.FunctionError, JSON.parse(text(got.Payload)).errorType], [200, "Unhandled", type]);
}
got = await send("Invoke", { Qualifier: "prod", Payload: '{"do":"error"}' });
assert.deepEqual([got.FunctionError, text(got.Payload)], [undefined, '{"do":"error"}']);
console.log("failures");

const versions = [];
for await (const page of aws.paginateListVersionsByFunction({ client, pageSize: 1 }, { FunctionName }))
	versions.push(page.Versions.map((v) => v.Version));
assert.deepEqual(versions, [["$LATEST"], ["1"]]);
console.log("list");

await send("PutFunctionConcurrency", { ReservedConcurrentExecutions: 0 });
await assert.rejects(send("Invoke", {}), (e) => e.name === "TooManyRequestsException" &&
	e.Reason === "ReservedFunctionConcurrentInvocationLimitExceeded" && e.$metadata.httpStatusCode === 429);
await send("DeleteFunctionConcurrency", {});
console.log("throttled");

let streamed = "";
let complete;
const stream = await send("InvokeWithResponseStream", { Qualifier: "prod", Payload: '{"s":1}' });
for await (const event of stream.EventStream) {
	if (event.PayloadChunk)
		streamed += text(event.PayloadChunk.Payload);
	if (event.InvokeComplete)
		complete = event.InvokeComplete;
}
assert.equal(streamed, '{"s":1}');
assert.ok(complete && !complete.ErrorCode);

await send("DeleteFunction", {});
console.log("delete");
await refused("ResourceNotFoundException", send("GetFunction", {}));
console.log("gone");
console.log("stream");
