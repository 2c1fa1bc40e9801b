// Calls of the AWS SDK for Go v2: see record.py.
package main

import (
	"context"
	"encoding/hex"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

type keys struct{}

func (keys) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}, nil
}

func main() {
	url, role, arn := os.Args[1], aws.String(os.Args[2]), aws.String(os.Args[3])
	zip, _ := hex.DecodeString(os.Args[4])
	ctx, f := context.Background(), aws.String("f")
	c := lambda.New(lambda.Options{Region: "us-east-1", Credentials: keys{},
		EndpointResolver: lambda.EndpointResolverFromURL(url)})
	must := func(_ interface{}, err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	must(c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: f, Role: role, Runtime: "provided.al2",
		Handler: aws.String("bootstrap"), Code: &types.FunctionCode{ZipFile: zip}}))
	must(c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("f:live")}))
	must(c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: arn}))
	must(c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: f, ZipFile: zip}))
	must(c.ListFunctions(ctx, &lambda.ListFunctionsInput{Marker: aws.String("tok=//+1 ä"), MaxItems: aws.Int32(3)}))
	must(c.Invoke(ctx, &lambda.InvokeInput{FunctionName: f, Payload: []byte("{\"k\":1}"), LogType: types.LogTypeTail}))
	must(c.Invoke(ctx, &lambda.InvokeInput{FunctionName: arn, Qualifier: aws.String("a b"),
		InvocationType: types.InvocationTypeEvent}))
	must(c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: f}))
	must(c.ListVersionsByFunction(ctx, &lambda.ListVersionsByFunctionInput{FunctionName: f}))
	must(c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: f, Name: aws.String("live"),
		FunctionVersion: aws.String("1")}))
	must(c.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: f}))
	must(c.UntagResource(ctx, &lambda.UntagResourceInput{Resource: arn, TagKeys: []string{"c/d", "a b"}}))
	must(c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: f}))
}
