package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// The call that a probe makes: it costs nothing, changes nothing, and CloudTrail documents it as a management event that reads
// (https://docs.aws.amazon.com/bedrock/latest/userguide/logging-using-cloudtrail.html).
const (
	ProbeService   = "bedrock"
	ProbeOperation = "ListFoundationModels"
)

// ProbeCall is a probe's call that was answered.
type ProbeCall struct {
	Region    string
	RequestID string    // by which its event is known
	Sent      time.Time // when it was made
	Answered  time.Time
	Refused   string // AWS's error code, where it was refused: that is recorded, too
}

// Probe makes a call that is recorded, with a mark in its user agent. Region, credentials and endpoint are those of AWS's
// own settings. A refused call is no error: its event tells of it.
func Probe(ctx context.Context, mark string, now func() time.Time) (ProbeCall, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(3))
	if err != nil {
		return ProbeCall{}, fmt.Errorf("loading AWS settings: %w", err)
	}
	if cfg.Region == "" {
		return ProbeCall{}, errors.New("no AWS Region is chosen: set AWS_REGION, or one in the profile")
	}
	c := ProbeCall{Region: cfg.Region, Sent: now().UTC()}
	client := bedrock.NewFromConfig(cfg, func(o *bedrock.Options) {
		o.APIOptions = append(o.APIOptions, awsmiddleware.AddUserAgentKeyValue("aitrail-probe", mark))
	})
	out, err := client.ListFoundationModels(ctx, &bedrock.ListFoundationModelsInput{})
	c.Answered = now().UTC()
	var refused *awshttp.ResponseError
	var api interface{ ErrorCode() string }
	switch {
	case err == nil:
		c.RequestID, _ = awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	case errors.As(err, &refused) && errors.As(err, &api):
		c.RequestID, c.Refused = refused.ServiceRequestID(), api.ErrorCode()
	}
	if c.RequestID == "" {
		return c, fmt.Errorf("calling %s of %s in %s: %w", ProbeOperation, ProbeService, cfg.Region, orMissing(err))
	}
	return c, nil
}

func orMissing(err error) error {
	if err == nil {
		return errors.New("the answer has no request id")
	}
	return err
}

// Recorded asks CloudTrail's event history (LookupEvents) whether it has the call. It may be asked twice a second.
func Recorded(ctx context.Context, c ProbeCall) (bool, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(c.Region))
	if err != nil {
		return false, fmt.Errorf("loading AWS settings: %w", err)
	}
	out, err := cloudtrail.NewFromConfig(cfg).LookupEvents(ctx, &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String(ProbeOperation)}},
		StartTime:        aws.Time(c.Sent.Add(-time.Minute)), EndTime: aws.Time(c.Answered.Add(time.Minute)),
	})
	if err != nil {
		return false, fmt.Errorf("looking up events: %w", err)
	}
	for _, e := range out.Events {
		var record struct{ RequestID string }
		if json.Unmarshal([]byte(aws.ToString(e.CloudTrailEvent)), &record) == nil && record.RequestID == c.RequestID {
			return true, nil
		}
	}
	return false, nil
}
