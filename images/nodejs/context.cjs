'use strict';
// The second argument of a handler.

function parsed(text) {
	return text ? JSON.parse(text) : undefined;
}

function contextOf(headers) {
	const env = process.env;
	const deadline = Number(headers['lambda-runtime-deadline-ms'] ?? 0);
	return {
		callbackWaitsForEmptyEventLoop: true,
		functionName: env.AWS_LAMBDA_FUNCTION_NAME,
		functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
		memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
		logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
		logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
		awsRequestId: headers['lambda-runtime-aws-request-id'],
		invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
		clientContext: parsed(headers['lambda-runtime-client-context']),
		identity: parsed(headers['lambda-runtime-cognito-identity']),
		tenantId: headers['lambda-runtime-aws-tenant-id'],
		getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
	};
}

module.exports = { contextOf };
