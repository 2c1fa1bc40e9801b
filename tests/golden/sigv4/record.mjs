// Calls of the AWS SDK for JavaScript v3: see record.py.
import * as sdk from "@aws-sdk/client-lambda";

const [url, role, arn, zip] = process.argv.slice(2);
const client = new sdk.LambdaClient({endpoint: url, region: "us-east-1", maxAttempts: 1});
const calls = [
	["CreateFunction", {FunctionName: "f", Runtime: "provided.al2023", Role: role, Handler: "bootstrap",
		Code: {ZipFile: Buffer.from(zip, "hex")}}],
	["GetFunction", {FunctionName: "f:live"}],
	["GetFunctionConfiguration", {FunctionName: arn}],
	["UpdateFunctionConfiguration", {FunctionName: "f", Description: "naïve"}],
	["ListFunctions", {MaxItems: 5, Marker: "tok=//+1 ä"}],
	["Invoke", {FunctionName: "f", Payload: '{"k":1}', LogType: "Tail"}],
	["Invoke", {FunctionName: "f", Qualifier: "$LATEST", InvocationType: "Event", Payload: "{}",
		ClientContext: "eyJhIjogMX0="}],
	["InvokeWithResponseStream", {FunctionName: "f:a", Payload: '{"s":1}'}],
	["PublishVersion", {FunctionName: "f"}],
	["ListVersionsByFunction", {FunctionName: arn + ":1"}],
	["CreateAlias", {FunctionName: "f", Name: "live", FunctionVersion: "1"}],
	["DeleteAlias", {FunctionName: "f", Name: "live"}],
	["PutFunctionConcurrency", {FunctionName: "f", ReservedConcurrentExecutions: 2}],
	["UntagResource", {Resource: arn, TagKeys: ["a b", "c/d"]}],
	["TagResource", {Resource: arn, Tags: {"a b": "c"}}],
	["DeleteFunction", {FunctionName: "f", Qualifier: "3"}],
];
for (const [name, input] of calls)
	await client.send(new sdk[name + "Command"](input));
