// A function's life with the SDK for Go, version 2: life URL ZIP ROLE FAILING-ZIP. Prints each step that was right.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

var ctx = context.Background()
var name = aws.String("go-function")

func check(ok bool, what string, got ...interface{}) {
	if !ok {
		fmt.Fprintln(os.Stderr, append([]interface{}{"wrong:", what}, got...)...)
		os.Exit(1)
	}
}

func must(err error, what string) {
	check(err == nil, what, err)
}

type keys struct{}

func (keys) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{
		AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}, nil
}

func main() {
	zip, err := os.ReadFile(os.Args[2])
	must(err, "zip")
	role := aws.String(os.Args[3])
	client := lambda.New(lambda.Options{
		Region:           os.Getenv("AWS_REGION"),
		Credentials:      keys{},
		Retryer:          aws.NopRetryer{},
		EndpointResolver: lambda.EndpointResolverFromURL(os.Args[1]),
	})

	create := &lambda.CreateFunctionInput{FunctionName: name, Role: role, Runtime: types.RuntimeProvidedal2,
		Handler: aws.String("bootstrap"), Timeout: aws.Int32(60), Code: &types.FunctionCode{ZipFile: zip}}
	made, err := client.CreateFunction(ctx, create)
	must(err, "create")
	check(made.State == types.StatePending && made.CodeSize == int64(len(zip)), "state", made.State)
	fmt.Println("create")

	var conflict *types.ResourceConflictException
	_, err = client.CreateFunction(ctx, create)
	check(errors.As(err, &conflict), "conflict", err)
	fmt.Println("conflict")

	wait := 120 * time.Second
	must(lambda.NewFunctionExistsWaiter(client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, wait), "exists")
	must(lambda.NewFunctionActiveV2Waiter(client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, wait), "active")
	fmt.Println("active")

	got, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, Payload: []byte(`{"k":1}`)})
	must(err, "invoke")
	check(got.StatusCode == 200 && string(got.Payload) == `{"k":1}` && *got.ExecutedVersion == "$LATEST" &&
		got.FunctionError == nil, "answer", got.StatusCode, string(got.Payload))
	got, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, InvocationType: types.InvocationTypeEvent})
	must(err, "event")
	check(got.StatusCode == 202, "event", got.StatusCode)
	got, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, InvocationType: types.InvocationTypeDryRun})
	must(err, "dry run")
	check(got.StatusCode == 204, "dry run", got.StatusCode)
	fmt.Println("invoke")

	var missing *types.ResourceNotFoundException
	var content *types.InvalidRequestContentException
	_, err = client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("nobody")})
	check(errors.As(err, &missing) && strings.HasPrefix(missing.ErrorMessage(), "Function not found: arn:"),
		"not found", err)
	_, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, Payload: []byte("{")})
	check(errors.As(err, &content), "content", err)
	fmt.Println("error-class")

	var precondition *types.PreconditionFailedException
	_, err = client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name,
		Timeout: aws.Int32(9), RevisionId: aws.String("old")})
	check(errors.As(err, &precondition), "precondition", err)
	fmt.Println("precondition")

	got, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, Payload: []byte("1"),
		LogType: types.LogTypeTail})
	must(err, "tail")
	log, err := base64.StdEncoding.DecodeString(*got.LogResult)
	check(err == nil && strings.Contains(string(log), "REPORT RequestId: "), "tail", string(log))
	fmt.Println("tail")

	changed, err := client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name,
		MemorySize: aws.Int32(192)})
	must(err, "update")
	check(changed.LastUpdateStatus == types.LastUpdateStatusInProgress && *changed.MemorySize == 192, "update")
	fmt.Println("update")
	updated := lambda.NewFunctionUpdatedV2Waiter(client)
	must(updated.Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, wait), "updated")
	fmt.Println("updated")

	version, err := client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: name})
	must(err, "publish")
	check(*version.Version == "1", "version", *version.Version)
	must(lambda.NewFunctionActiveWaiter(client).Wait(ctx,
		&lambda.GetFunctionConfigurationInput{FunctionName: name, Qualifier: aws.String("1")}, wait), "published")
	fmt.Println("publish")

	_, err = client.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name, Name: aws.String("prod"),
		FunctionVersion: aws.String("1")})
	must(err, "alias")
	got, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, Qualifier: aws.String("prod"),
		Payload: []byte("[2]")})
	must(err, "alias")
	check(*got.ExecutedVersion == "1" && string(got.Payload) == "[2]", "alias", *got.ExecutedVersion)
	fmt.Println("alias")

	failing, err := os.ReadFile(os.Args[4])
	must(err, "failing zip")
	_, err = client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: failing})
	must(err, "code")
	must(updated.Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, wait), "code")
	for what, kind := range map[string]string{"error": "Shell.Error", "exit 3": "Runtime.ExitError"} {
		got, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, Payload: []byte(`{"do":"` + what + `"}`)})
		must(err, what)
		check(got.StatusCode == 200 && got.FunctionError != nil && *got.FunctionError == "Unhandled" &&
			strings.Contains(string(got.Payload), `"`+kind+`"`), what, string(got.Payload))
	}
	fmt.Println("failures")

	pages := lambda.NewListVersionsByFunctionPaginator(client, &lambda.ListVersionsByFunctionInput{FunctionName: name,
		MaxItems: aws.Int32(1)})
	listed := ""
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		must(err, "list")
		check(len(page.Versions) == 1, "page", len(page.Versions))
		listed += *page.Versions[0].Version + " "
	}
	check(listed == "$LATEST 1 ", "list", listed)
	fmt.Println("list")

	var throttled *types.TooManyRequestsException
	_, err = client.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: name,
		ReservedConcurrentExecutions: aws.Int32(0)})
	must(err, "concurrency")
	_, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name})
	why := types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded
	check(errors.As(err, &throttled) && throttled.Reason == why, "throttled", err)
	fmt.Println("throttled")

	_, err = client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name})
	must(err, "delete")
	fmt.Println("delete")
	_, err = client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: name})
	check(errors.As(err, &missing), "gone", err)
	fmt.Println("gone")
}
