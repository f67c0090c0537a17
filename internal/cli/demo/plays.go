package demo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/comprehend"
	comprehendtypes "github.com/aws/aws-sdk-go-v2/service/comprehend/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rekognition"
	rekognitiontypes "github.com/aws/aws-sdk-go-v2/service/rekognition/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sagemakerruntime"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/textract"
	textracttypes "github.com/aws/aws-sdk-go-v2/service/textract/types"
	"github.com/aws/aws-sdk-go-v2/service/translate"
	"github.com/aws/smithy-go/auth/bearer"
)

func say(text string) []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: text}}}}
}

func in(cfg aws.Config, region string) aws.Config {
	cfg.Region = region
	return cfg
}

// application is the support application: it talks to customers, in streams, behind a guardrail, with an agent.
func (t *Traffic) application(ctx context.Context, c *stage) error {
	models := bedrockruntime.NewFromConfig(c.application)
	agents := bedrockagentruntime.NewFromConfig(c.application)
	words := comprehend.NewFromConfig(c.application)
	tongues := translate.NewFromConfig(c.application)
	for i := range 40 {
		question := fmt.Sprintf("Customer %d asks: where is my parcel?", i)
		if _, err := words.DetectSentiment(ctx, &comprehend.DetectSentimentInput{Text: &question, LanguageCode: comprehendtypes.LanguageCodeEn}); err != nil {
			return err
		}
		if err := t.stream(ctx, models, sonnet, question); err != nil {
			return err
		}
		if i%2 == 0 {
			if _, err := models.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: say(question)}); err != nil {
				return err
			}
		}
		if i%4 == 0 {
			if _, err := tongues.TranslateText(ctx, &translate.TranslateTextInput{Text: &question, SourceLanguageCode: aws.String("en"), TargetLanguageCode: aws.String("de")}); err != nil {
				return err
			}
			if _, err := models.ApplyGuardrail(ctx, &bedrockruntime.ApplyGuardrailInput{
				GuardrailIdentifier: &c.guardrail, GuardrailVersion: aws.String("DRAFT"), Source: types.GuardrailContentSourceInput,
				Content: []types.GuardrailContentBlock{&types.GuardrailContentBlockMemberText{Value: types.GuardrailTextBlock{Text: &question}}},
			}); err != nil {
				return err
			}
		}
		if i%5 == 0 {
			if err := t.askAgent(ctx, agents, c, question); err != nil {
				return err
			}
		}
	}
	_, err := words.DetectPiiEntities(ctx, &comprehend.DetectPiiEntitiesInput{Text: aws.String("Write to ana@example.com"), LanguageCode: comprehendtypes.LanguageCodeEn})
	return err
}

func (t *Traffic) stream(ctx context.Context, c *bedrockruntime.Client, model, question string) error {
	out, err := c.ConverseStream(ctx, &bedrockruntime.ConverseStreamInput{ModelId: &model, Messages: say(question)})
	if err != nil {
		return err
	}
	s := out.GetStream()
	defer s.Close()
	for range s.Events() { // to the end: the answer is counted when it was given
	}
	return s.Err()
}

func (t *Traffic) askAgent(ctx context.Context, c *bedrockagentruntime.Client, s *stage, question string) error {
	out, err := c.InvokeAgent(ctx, &bedrockagentruntime.InvokeAgentInput{AgentId: &s.agent, AgentAliasId: &s.alias, SessionId: aws.String("session-1"), InputText: &question})
	if err != nil {
		return err
	}
	stream := out.GetStream()
	defer stream.Close()
	for range stream.Events() {
	}
	return stream.Err()
}

// scientist looks at pictures and papers, and tries a model that policy denies.
func (t *Traffic) scientist(ctx context.Context, c *stage) error {
	models := bedrockruntime.NewFromConfig(in(c.scientist, "us-west-2"))
	endpoints := sagemakerruntime.NewFromConfig(c.scientist)
	pictures := rekognition.NewFromConfig(c.scientist)
	papers := textract.NewFromConfig(c.scientist)
	photo := &rekognitiontypes.Image{S3Object: &rekognitiontypes.S3Object{Bucket: aws.String(transcripts), Name: aws.String("parcel.jpg")}}
	for i := range 25 {
		if _, err := endpoints.InvokeEndpoint(ctx, &sagemakerruntime.InvokeEndpointInput{EndpointName: aws.String("churn"), ContentType: aws.String("text/csv"), Body: fmt.Appendf(nil, "%d,1,0", i)}); err != nil {
			return err
		}
		if _, err := models.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: aws.String(titan), Body: fmt.Appendf(nil, `{"inputText":"paper %d"}`, i)}); err != nil {
			return err
		}
		if i%2 == 0 {
			if _, err := pictures.DetectLabels(ctx, &rekognition.DetectLabelsInput{Image: photo}); err != nil {
				return err
			}
		}
		if i%3 == 0 {
			if _, err := papers.AnalyzeDocument(ctx, &textract.AnalyzeDocumentInput{
				Document:     &textracttypes.Document{S3Object: &textracttypes.S3Object{Bucket: aws.String(transcripts), Name: aws.String("invoice.png")}},
				FeatureTypes: []textracttypes.FeatureType{textracttypes.FeatureTypeTables},
			}); err != nil {
				return err
			}
		}
		if i%6 == 0 {
			_, err := models.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: aws.String(opus), Body: claudeBody("Think hard.")})
			if err := refused(err, "AccessDenied"); err != nil {
				return err
			}
		}
	}
	for range 3 {
		_, err := models.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String(missing), Messages: say("Hello?")})
		if err := refused(err, "ValidationException"); err != nil {
			return err
		}
	}
	return nil
}

func claudeBody(prompt string) []byte {
	return fmt.Appendf(nil, `{"anthropic_version":"bedrock-2023-05-31","max_tokens":200,"messages":[{"role":"user","content":%q}]}`, prompt)
}

// build is a CI job: a Bedrock API key, a few calls at once, and throttling.
func (t *Traffic) build(ctx context.Context, c *stage) error {
	cfg := t.config(c.at, nil, "")
	cfg.BaseEndpoint = aws.String("https" + strings.TrimPrefix(c.at.URL, "http")) // the SDK signs with API keys for HTTPS only; transport goes by HTTP all the same
	cfg.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: c.apiKey}}
	cfg.AuthSchemePreference = []string{"httpBearerAuth"}
	models := bedrockruntime.NewFromConfig(cfg)
	throttled := 0
	for i := range 60 {
		_, err := models.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: aws.String(haiku), Body: claudeBody(fmt.Sprintf("Release note %d, please.", i))})
		if err == nil {
			continue
		}
		if err := refused(err, "ThrottlingException"); err != nil {
			return err
		}
		throttled++
	}
	if throttled == 0 {
		return fmt.Errorf("none of the calls was throttled")
	}
	return nil
}

// intruder has a key that was leaked: looks around, asks models in many Regions, tries to hide and to stay.
func (t *Traffic) intruder(ctx context.Context, c *stage) error {
	if _, err := sts.NewFromConfig(c.intruder).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
		return err
	}
	if _, err := s3.NewFromConfig(c.intruder, func(o *s3.Options) { o.UsePathStyle = true }).ListBuckets(ctx, &s3.ListBucketsInput{}); err != nil {
		return err
	}
	for _, region := range []string{"us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1"} {
		if _, err := bedrock.NewFromConfig(in(c.intruder, region)).ListFoundationModels(ctx, &bedrock.ListFoundationModelsInput{}); err != nil {
			return err
		}
		models := bedrockruntime.NewFromConfig(in(c.intruder, region))
		for _, model := range []string{opus, haiku, llama} {
			_, err := models.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: &model, Body: claudeBody("hi")})
			if err := refused(err, "AccessDenied"); err != nil {
				return err
			}
		}
	}
	control := bedrock.NewFromConfig(c.intruder)
	_, err := control.DeleteModelInvocationLoggingConfiguration(ctx, &bedrock.DeleteModelInvocationLoggingConfigurationInput{})
	if err := refused(err, "AccessDenied"); err != nil {
		return err
	}
	_, err = control.DeleteGuardrail(ctx, &bedrock.DeleteGuardrailInput{GuardrailIdentifier: &c.guardrail})
	if err := refused(err, "AccessDenied"); err != nil {
		return err
	}
	_, err = iam.NewFromConfig(c.intruder).CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("BedrockAPIKey-x1")})
	return refused(err, "AccessDenied")
}

// administrator changes what the others' calls depend on.
func (t *Traffic) administrator(ctx context.Context, c *stage) error {
	control := bedrock.NewFromConfig(c.ana)
	if _, err := control.PutModelInvocationLoggingConfiguration(ctx, &bedrock.PutModelInvocationLoggingConfigurationInput{LoggingConfig: &bedrocktypes.LoggingConfig{
		S3Config: &bedrocktypes.S3Config{BucketName: aws.String(transcripts)}, TextDataDeliveryEnabled: aws.Bool(true),
	}}); err != nil {
		return err
	}
	trial, err := control.CreateGuardrail(ctx, &bedrock.CreateGuardrailInput{
		Name: aws.String("trial"), BlockedInputMessaging: aws.String("No."), BlockedOutputsMessaging: aws.String("No."),
		TopicPolicyConfig: &bedrocktypes.GuardrailTopicPolicyConfig{TopicsConfig: []bedrocktypes.GuardrailTopicConfig{{
			Name: aws.String("finance"), Definition: aws.String("Advice on investments."), Type: bedrocktypes.GuardrailTopicTypeDeny}}},
	})
	if err != nil {
		return err
	}
	if _, err := control.DeleteGuardrail(ctx, &bedrock.DeleteGuardrailInput{GuardrailIdentifier: trial.GuardrailId}); err != nil {
		return err
	}
	models := bedrockruntime.NewFromConfig(c.ana)
	for i := range 5 {
		if _, err := models.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String(llama), Messages: say(fmt.Sprintf("Is the guardrail on? (%d)", i))}); err != nil {
			return err
		}
	}
	out, err := models.InvokeModelWithResponseStream(ctx, &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String(haiku), Body: claudeBody("Good night.")})
	if err != nil {
		return err
	}
	stream := out.GetStream()
	defer stream.Close()
	for range stream.Events() {
	}
	return stream.Err()
}
