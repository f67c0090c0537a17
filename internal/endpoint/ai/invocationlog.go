package ai

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Destinations are where model invocation logs are delivered to, as the service principal bedrock.amazonaws.com for a Region's
// invocations. What is refused is an *awsapi.Error. Its methods may be called concurrently.
type Destinations interface {
	// DeliverInvocations puts an object, in place of one with its key; the bucket's policy has to allow that. It is durable when nil is
	// returned.
	DeliverInvocations(ctx context.Context, region, bucket, key string, body []byte) error
	// CheckLogGroup tells whether there is the log group, and whether the role may write to the stream.
	CheckLogGroup(ctx context.Context, region, group, stream, role string) error
	// AppendTx adds events (time and message, oldest first) to a log stream inside the caller's transaction, and makes the stream if need be.
	AppendTx(tx *state.Tx, region, group, stream string, at time.Time, events iter.Seq2[time.Time, string]) error
}

// pendingInvocations is the bucket of the state store with records that are to be delivered; keys "Region/TIME-ID".
const pendingInvocations = "ai.pending-invocation"

// logStream is the stream of a log group that Bedrock writes to.
const logStream = "aws/bedrock/modelinvocations"

// maxInline is how long a body may be that stands in the log itself; longer ones are objects of their own.
const maxInline = 100 << 10

// maxBatch is how many records a file holds.
const maxBatch = 1000

// InvocationLog keeps model invocation logs (https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html):
// a record of each call of a model, in Regions where that is set up, durable before the call is answered, and delivered in batches. What
// was delivered when the process was killed may be delivered to the bucket again; to the log group it is once.
type InvocationLog struct {
	Account      string
	State        *state.Store
	Destinations Destinations
	Now          func() time.Time

	delivering sync.Mutex
}

// loggingConfig is a Region's settings, as the API spells them.
type loggingConfig struct {
	S3Config         *s3Config
	CloudWatchConfig *struct {
		LogGroupName              string
		RoleArn                   string
		LargeDataDeliveryS3Config *s3Config
	}
	TextDataDeliveryEnabled, EmbeddingDataDeliveryEnabled *bool
}

type s3Config struct{ BucketName, KeyPrefix string }

// folder is the folder of a Region's logs, or that of its account's.
func (s *s3Config) folder(account, region string) string {
	prefix := strings.Trim(s.KeyPrefix, "/")
	return cloudtrail.KindPrefix(prefix, "", account, cloudtrail.KindInvocations, region)
}

// pendingRecord is a record to be delivered. Long bodies stand apart from it.
type pendingRecord struct {
	At            time.Time
	ID            string // the request's
	Record        obj
	Input, Output json.RawMessage `json:",omitempty"`
}

// check tells why logs couldn't be delivered with the settings, as PutModelInvocationLoggingConfiguration asks: it writes the
// object by which Bedrock tries that.
func (l *InvocationLog) check(ctx context.Context, region string, config *loggingConfig) (message string) {
	if config.S3Config == nil && config.CloudWatchConfig == nil {
		return "Specify at least one destination: an S3 bucket or a CloudWatch log group."
	}
	targets := []*s3Config{config.S3Config}
	if w := config.CloudWatchConfig; w != nil {
		targets = append(targets, w.LargeDataDeliveryS3Config)
		if err := l.Destinations.CheckLogGroup(ctx, region, w.LogGroupName, logStream, w.RoleArn); err != nil {
			return fmt.Sprintf("Failed to validate permissions for log group: %s, with role: %s. Verify the IAM role permissions are correct. %v", w.LogGroupName, w.RoleArn, err)
		}
	}
	for _, t := range targets {
		if t == nil {
			continue
		}
		if err := l.Destinations.DeliverInvocations(ctx, region, t.BucketName, t.folder(l.Account, "")+"amazon-bedrock-logs-permission-check", nil); err != nil {
			return fmt.Sprintf("Failed to validate permissions for bucket: %s. Verify the bucket policy is correct. %v", t.BucketName, err)
		}
	}
	return ""
}

// keep makes a call's record durable, if its Region keeps logs. answer is what was answered, nil with an error.
func (l *InvocationLog) keep(c *call, answer any, code string) error {
	var config loggingConfig
	if found, err := l.State.Get(logging, c.Region, &config); err != nil || !found {
		return err
	}
	p := pendingRecord{At: l.Now().UTC(), ID: c.ID, Record: obj{
		"schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": c.Time.UTC().Format(time.RFC3339),
		"accountId": c.Account, "identity": obj{"arn": c.Caller.ARN}, "region": c.Region, "requestId": c.ID, "operation": c.Operation,
		"modelId": text(c.in, "modelId"),
	}}
	input, output := obj{"inputContentType": "application/json"}, obj{"outputContentType": "application/json"}
	enabled := config.TextDataDeliveryEnabled
	if strings.HasSuffix(c.model.family, "-embed") {
		enabled = config.EmbeddingDataDeliveryEnabled
	}
	if enabled == nil || *enabled {
		if json.Valid(c.Body) {
			p.Input = compact(c.Body)
		}
		if answer != nil {
			body, err := json.Marshal(answer)
			if err != nil {
				return err
			}
			p.Output = body
		}
	}
	if c.used != nil {
		input["inputTokenCount"], output["outputTokenCount"] = c.used.in, c.used.out
	}
	if len(c.model.regions) > 0 {
		p.Record["inferenceRegion"] = c.model.region(c)
	}
	if metadata := object(c.in, "requestMetadata"); metadata != nil {
		p.Record["requestMetadata"] = metadata
	}
	p.Record["input"] = input
	if code == "" {
		p.Record["output"] = output
	} else {
		p.Record["errorCode"] = code
	}
	return l.State.Put(pendingInvocations, fmt.Sprintf("%s/%016x-%s", c.Region, p.At.UnixNano(), c.ID), p)
}

// compact is JSON without spaces; what isn't JSON stays.
func compact(body []byte) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return body
	}
	return b.Bytes()
}

// Deliver delivers all records. One Region that fails doesn't keep the others.
func (l *InvocationLog) Deliver(ctx context.Context) error {
	l.delivering.Lock()
	defer l.delivering.Unlock()
	byRegion := map[string][]string{} // keys, in the order of records
	err := l.State.View(func(tx *state.Tx) error {
		return tx.Each(pendingInvocations, "", "", func(key string, _ func(any) error) error {
			region, _, _ := strings.Cut(key, "/")
			byRegion[region] = append(byRegion[region], key)
			return nil
		})
	})
	errs := []error{err}
	for region, keys := range byRegion {
		for len(keys) > 0 {
			n := min(len(keys), maxBatch)
			if err := l.deliver(ctx, region, keys[:n]); err != nil {
				errs = append(errs, fmt.Errorf("model invocation logs of %s: %w", region, err))
				break
			}
			keys = keys[n:]
		}
	}
	return errors.Join(errs...)
}

// deliver delivers records of a Region, to where it is set up now. Without a set-up they are forgotten, as at AWS.
func (l *InvocationLog) deliver(ctx context.Context, region string, keys []string) error {
	var config loggingConfig
	found, err := l.State.Get(logging, region, &config)
	if err != nil {
		return err
	}
	records := make([]pendingRecord, len(keys))
	for i, key := range keys {
		if _, err := l.State.Get(pendingInvocations, key, &records[i]); err != nil {
			return err
		}
	}
	if found && config.S3Config != nil {
		if err := l.toBucket(ctx, region, config.S3Config, records); err != nil {
			return err
		}
	}
	var messages []string
	watch := config.CloudWatchConfig
	if found && watch != nil {
		if err := l.Destinations.CheckLogGroup(ctx, region, watch.LogGroupName, logStream, watch.RoleArn); err != nil {
			return fmt.Errorf("log group %s: %w", watch.LogGroupName, err)
		}
		for _, r := range records {
			line, err := l.line(ctx, region, watch.LargeDataDeliveryS3Config, r)
			if err != nil {
				return err
			}
			messages = append(messages, string(line))
		}
	}
	return l.State.Update(func(tx *state.Tx) error {
		for _, key := range keys {
			if err := tx.Delete(pendingInvocations, key); err != nil {
				return err
			}
		}
		if len(messages) == 0 {
			return nil
		}
		return l.Destinations.AppendTx(tx, region, watch.LogGroupName, logStream, l.Now(), func(yield func(time.Time, string) bool) {
			for i, m := range messages {
				if !yield(records[i].At, m) {
					return
				}
			}
		})
	})
}

// toBucket writes records as a file. Its name follows from them, so that a repeat writes the same.
func (l *InvocationLog) toBucket(ctx context.Context, region string, to *s3Config, records []pendingRecord) error {
	var body bytes.Buffer
	hash := sha256.New()
	for _, r := range records {
		line, err := l.line(ctx, region, to, r)
		if err != nil {
			return err
		}
		body.Write(line)
		body.WriteByte('\n')
		hash.Write([]byte(r.ID))
	}
	at := records[0].At
	name := strings.ReplaceAll(at.Format("20060102T150405.000Z"), ".", "") + "_" + hex.EncodeToString(hash.Sum(nil))[:16] + ".json.gz"
	return l.Destinations.DeliverInvocations(ctx, region, to.BucketName, hourFolder(to, l.Account, region, at)+name, zipped(body.Bytes()))
}

func hourFolder(to *s3Config, account, region string, at time.Time) string {
	return to.folder(account, region) + at.Format("2006/01/02/15/")
}

// line is a record as it is delivered: long bodies are put into the bucket, and left out where there is none.
func (l *InvocationLog) line(ctx context.Context, region string, to *s3Config, r pendingRecord) ([]byte, error) {
	record := with(r.Record, nil)
	for _, part := range []struct {
		name string
		body json.RawMessage
	}{{"input", r.Input}, {"output", r.Output}} {
		side := object(record, part.name)
		if len(part.body) == 0 || side == nil {
			continue
		}
		if len(part.body) <= maxInline {
			record[part.name] = with(side, obj{part.name + "BodyJson": part.body})
			continue
		}
		if to == nil {
			continue
		}
		key := hourFolder(to, l.Account, region, r.At) + "data/" + r.ID + "_" + part.name + ".json.gz"
		if err := l.Destinations.DeliverInvocations(ctx, region, to.BucketName, key, zipped(part.body)); err != nil {
			return nil, err
		}
		record[part.name] = with(side, obj{part.name + "BodyS3Path": "s3://" + to.BucketName + "/" + key})
	}
	return json.Marshal(record)
}

// zipped is text in gzip, the same for the same text.
func zipped(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(text) // to memory
	_ = w.Close()
	return b.Bytes()
}

// logInvocation keeps a call's record, if its operation is one that is logged.
func (b *backend) logInvocation(c *call, out obj, failure error) error {
	if b.Invocations == nil || c.model == nil || c.client.name != "bedrock-runtime" {
		return nil
	}
	var answer any
	switch c.op.Name {
	case "InvokeModel":
		if body, ok := out["body"].([]byte); ok {
			answer = json.RawMessage(body)
		}
	case "Converse":
		answer = out
	case "InvokeModelWithResponseStream", "ConverseStream":
		answer = c.streamed
	default:
		return nil
	}
	if failure == nil {
		return b.Invocations.keep(c, answer, "")
	}
	var refusal *awsapi.Error
	if !errors.As(failure, &refusal) {
		return nil
	}
	return b.Invocations.keep(c, nil, refusal.Code)
}
