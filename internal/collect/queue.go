package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
)

const (
	hidden   = 2 * time.Minute // how long a message is hidden from others
	unhidden = hidden / 2      // after which it is hidden anew, while it is worked on
	inHand   = 1000            // messages that are worked on at once
	longPoll = 20              // seconds
	perCall  = 10              // messages of a call, the most that SQS allows
)

// queue takes messages about new log files from an SQS queue (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/).
//
// A message is deleted once all objects it tells of are in the lake; until then it is hidden from other collectors,
// and comes again when this one dies. What can't be used, and what tells of an object that is gone, is put into the
// lake's quarantine with the reason. It is deleted then, unless the queue has a redrive policy, which moves it to the
// dead-letter queue.
type queue struct {
	base
	url     string
	client  *sqs.Client
	redrive bool

	mu     sync.Mutex
	stores map[string]object.Store // by bucket
	held   map[*message]struct{}   // worked on
	done   []*message              // to be deleted
	room   chan struct{}           // bounds held
}

// message is a message being worked on. queue.mu guards it.
type message struct {
	id, handle string
	open       int // objects not dealt with, and one for the message
	keep       bool
	hidden     time.Time
}

func newQueue(b base, url string) (feed, error) {
	return &queue{base: b, url: url, stores: map[string]object.Store{}, held: map[*message]struct{}{}, room: make(chan struct{}, inHand)}, nil
}

func (q *queue) open(ctx context.Context) (object.Store, error) {
	if q.client != nil {
		return nil, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if u, err := url.Parse(q.url); err == nil {
		if part := strings.Split(u.Hostname(), "."); len(part) > 3 && part[0] == "sqs" { // sqs.REGION.amazonaws.com
			cfg.Region = part[1]
		}
	}
	client := sqs.NewFromConfig(cfg)
	out, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameRedrivePolicy},
	})
	if err != nil {
		var gone *types.QueueDoesNotExist
		if errors.As(err, &gone) {
			return nil, fmt.Errorf("queue %s: %w", q.url, object.NoSuch("queue"))
		}
		return nil, fmt.Errorf("queue %s: %w", q.url, err)
	}
	q.redrive = out.Attributes[string(types.QueueAttributeNameRedrivePolicy)] != ""
	q.client = client
	return nil, nil
}

// once takes messages until there are none.
func (q *queue) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go q.tend(ctx)
	for empty := 0; empty < 2; {
		n, err := q.receive(ctx, 1)
		var lost *lakeError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &lost):
			return lost.err
		case err != nil:
			q.fail(q.name, err)
			return nil
		case n == 0:
			empty++
		default:
			empty = 0
		}
	}
	return nil
}

func (q *queue) follow(ctx context.Context) error {
	go q.tend(ctx)
	for fails := 0; ; {
		_, err := q.receive(ctx, longPoll)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var lost *lakeError
		if errors.As(err, &lost) {
			return lost.err
		}
		q.looked(err)
		if err == nil {
			fails = 0
			q.c.status(q.source, func(s *SourceStatus) { s.Ready = true })
			continue
		}
		fails++
		q.fail(q.name, err)
		if !sleep(ctx, backoff(fails)) {
			return ctx.Err()
		}
	}
}

// lakeError marks an error that ends the run.
type lakeError struct{ err error }

func (e *lakeError) Error() string { return e.err.Error() }

// receive takes messages once and hands on what they tell of.
func (q *queue) receive(ctx context.Context, wait int32) (int, error) {
	out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MaxNumberOfMessages: perCall, WaitTimeSeconds: wait, VisibilityTimeout: int32(hidden / time.Second),
	})
	if err != nil {
		return 0, fmt.Errorf("receiving from %s: %w", q.url, err)
	}
	now := q.now()
	var list []*message
	for _, m := range out.Messages {
		list = append(list, &message{id: aws.ToString(m.MessageId), handle: aws.ToString(m.ReceiptHandle), open: 1, hidden: now})
	}
	for i, m := range list {
		select {
		case q.room <- struct{}{}:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		q.mu.Lock()
		q.held[m] = struct{}{}
		q.mu.Unlock()
		if err := q.work(ctx, m, aws.ToString(out.Messages[i].Body)); err != nil {
			return 0, err
		}
		q.deal(m, true)
	}
	return len(list), nil
}

// work hands on what a message tells of.
func (q *queue) work(ctx context.Context, m *message, body string) error {
	list, err := parseMessage(body)
	if err != nil {
		return q.poison(ctx, m, "message "+m.id, body, fmt.Sprintf("message can't be used: %v; it begins %q", err, beginning(body)))
	}
	for _, o := range list {
		if !slices.Contains(q.settings.Buckets, o.Bucket) {
			reason := fmt.Sprintf("message tells of s3://%s/%s; the queue may tell of %s", o.Bucket, o.Key, strings.Join(q.settings.Buckets, ", "))
			if err := q.poison(ctx, m, "message "+m.id, body, reason); err != nil {
				return err
			}
			continue
		}
		if err := q.offer(ctx, m, o); err != nil {
			return err
		}
	}
	return nil
}

// beginning is as much of a message as a reason holds.
func beginning(body string) string {
	if len(body) > 120 {
		return strings.ToValidUTF8(body[:120], "") + "…"
	}
	return body
}

// offer hands on one object.
func (q *queue) offer(ctx context.Context, m *message, o told) error {
	store, err := q.store(ctx, o.Bucket)
	if err != nil {
		q.fail("s3://"+o.Bucket+"/"+o.Key, err)
		q.keep(m)
		return nil
	}
	j := job{
		source: q.source, store: store, url: store.URL(o.Key), unlisted: true,
		info: object.Info{Key: o.Key, Size: o.Size, ETag: o.ETag},
	}
	if what := classify(&j); what == isOther {
		q.c.settle(j, what)
		return nil
	}
	have, err := q.c.lake.Collected(ctx, j.url, o.Size, o.ETag)
	if err != nil {
		return &lakeError{err}
	}
	if have {
		q.c.skip(j, nil)
		return nil
	}
	q.mu.Lock()
	m.open++
	q.mu.Unlock()
	j.done = func(err error) { q.read(ctx, m, j.url, err) }
	lane := q.c.live
	if lane == nil {
		lane = q.c.jobs
	}
	select {
	case lane <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read notes how an object went that a message told of.
func (q *queue) read(ctx context.Context, m *message, url string, err error) {
	switch {
	case err == nil || errors.Is(err, errNotLogFile):
		q.deal(m, true)
	case errors.Is(err, object.ErrNotExist):
		if err := q.poison(ctx, m, url, "", "a message told of it, and it was deleted before it was read"); err != nil {
			q.keep(m)
		}
		q.deal(m, true)
	default:
		q.deal(m, false)
	}
}

func (q *queue) store(ctx context.Context, bucket string) (object.Store, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.stores[bucket]; s != nil {
		return s, nil
	}
	s, err := q.c.opts.Open(ctx, "s3://"+bucket)
	if err == nil {
		q.stores[bucket] = s
	}
	return s, err
}

// poison puts what can't be used into quarantine. The message goes when that is in the lake.
func (q *queue) poison(ctx context.Context, m *message, object, body, reason string) error {
	q.c.opts.Log.Warn("message can't be used", "source", q.name, "message", m.id, "reason", reason)
	q.c.status(q.source, func(s *SourceStatus) { s.Poison++ })
	if q.redrive {
		q.keep(m)
	}
	q.mu.Lock()
	m.open++
	q.mu.Unlock()
	if strings.HasPrefix(object, "message ") {
		object = q.name + "/" + strings.TrimPrefix(object, "message ")
	}
	sum := sha256.Sum256([]byte(body))
	err := q.c.quarantine(ctx, lake.LogFile{Object: object, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}, reason, func(err error) { q.deal(m, err == nil) })
	if err != nil {
		return &lakeError{err}
	}
	return nil
}

// keep leaves a message to the queue: it comes again, or goes where the redrive policy says.
func (q *queue) keep(m *message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m.keep = true
}

// deal notes that something of a message is dealt with; when all is, it is deleted, unless it is to be kept.
func (q *queue) deal(m *message, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m.open--
	m.keep = m.keep || !ok
	if m.open > 0 {
		return
	}
	delete(q.held, m)
	<-q.room
	if !m.keep {
		q.done = append(q.done, m)
	}
}

// tend deletes messages that are dealt with and hides those that are worked on, until ctx ends.
func (q *queue) tend(ctx context.Context) {
	for sleep(ctx, time.Second) {
		if err := q.remove(ctx); err != nil && ctx.Err() == nil {
			q.fail(q.name, err)
		}
		q.hide(ctx)
	}
}

// take returns up to perCall messages of a list and takes them off it.
func take(list *[]*message) []*message {
	n := min(len(*list), perCall)
	part := (*list)[:n:n]
	*list = (*list)[n:]
	return part
}

// remove deletes messages that are dealt with. What couldn't be deleted comes again, and is found in the lake then.
func (q *queue) remove(ctx context.Context) error {
	for {
		q.mu.Lock()
		part := take(&q.done)
		q.mu.Unlock()
		if len(part) == 0 {
			return nil
		}
		in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.url}
		for i, m := range part {
			in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: &m.handle})
		}
		out, err := q.client.DeleteMessageBatch(ctx, in)
		if err != nil {
			return fmt.Errorf("deleting from %s: %w", q.url, err)
		}
		for _, f := range out.Failed {
			q.c.opts.Log.Debug("message not deleted", "source", q.name, "cause", aws.ToString(f.Message))
		}
	}
}

// hide hides messages anew whose time is half over.
func (q *queue) hide(ctx context.Context) {
	now := q.now()
	q.mu.Lock()
	var due []*message
	for m := range q.held {
		if now.Sub(m.hidden) >= unhidden {
			m.hidden = now
			due = append(due, m)
		}
	}
	q.mu.Unlock()
	for part := take(&due); len(part) > 0; part = take(&due) {
		in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url}
		for i, m := range part {
			in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
				Id: aws.String(fmt.Sprint(i)), ReceiptHandle: &m.handle, VisibilityTimeout: int32(hidden / time.Second),
			})
		}
		if _, err := q.client.ChangeMessageVisibilityBatch(ctx, in); err != nil && ctx.Err() == nil {
			q.fail(q.name, fmt.Errorf("hiding messages of %s: %w", q.url, err)) // they may come to another collector too
		}
	}
}

// close deletes what the last commit dealt with.
func (q *queue) close(ctx context.Context) error {
	if q.client == nil {
		return nil
	}
	return q.remove(ctx)
}
