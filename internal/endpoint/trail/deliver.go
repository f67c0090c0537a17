package trail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// stopWait is how long the event of a StopLogging call is looked for. It isn't there when the process was killed
// between the call and its recording.
const stopWait = time.Minute

// maxLogEvent is how long an event can be to go to a log group
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-limits.html).
const maxLogEvent = 256 << 10

// round delivers for every trail what is recorded now. One that fails doesn't keep the others.
func (s *Service) round(ctx context.Context, digestsNow bool) error {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	var errs []error
	for _, t := range s.list() {
		if err := s.deliver(ctx, t.ID, digestsNow); err != nil {
			errs = append(errs, fmt.Errorf("trail %s: %w", t.Name, err))
		}
	}
	return errors.Join(errs...)
}

// deliver delivers for one trail. The caller holds delivering.
func (s *Service) deliver(ctx context.Context, id string, digestsNow bool) error {
	errs := []error{s.deliverLate(ctx, id, false)}
	for _, account := range s.accounts() {
		files := feed{account, func(st *streams) *cursor { return &st.Files }, s.deliverFiles}
		logs := feed{account, func(st *streams) *cursor { return &st.Logs }, s.deliverLogs}
		errs = append(errs, s.drain(ctx, id, files), s.drain(ctx, id, logs))
	}
	return errors.Join(append(errs, s.deliverDigests(ctx, id, digestsNow))...)
}

// accounts are those whose records are delivered, by name; the service's own is "".
func (s *Service) accounts() []string {
	return append([]string{""}, slices.Sorted(maps.Keys(s.opts.Organization.Members))...)
}

// feed is one way of an account's events: to the bucket or to the log group.
type feed struct {
	account string
	cursor  func(*streams) *cursor
	deliver func(context.Context, *trail, span) error
}

// of is the feed's cursor; nil for an account that the trail isn't of.
func (f *feed) of(t *trail) *cursor {
	if st := t.of(f.account); st != nil {
		return f.cursor(st)
	}
	return nil
}

// drain delivers the spans of a feed, until it has reached the end that the record had at first.
func (s *Service) drain(ctx context.Context, id string, f feed) error {
	end := s.recorder(f.account).End()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, sp, err := s.begin(id, end, f)
		if err != nil || t == nil {
			return err
		}
		if err := f.deliver(ctx, t, sp); err != nil {
			return err
		}
	}
}

// begin returns the span that is next, having stored what decides its delivery. The trail is nil when there is none.
func (s *Service) begin(id string, end Position, f feed) (*trail, span, error) {
	t := s.byID(id)
	if t == nil || f.of(t) == nil {
		return nil, span{}, nil
	}
	c := f.of(t)
	open := t.collects(f.account) && c.Planned < end && (c == &t.of(f.account).Files || t.LogGroupARN != "")
	if len(c.Spans) == 0 && !open {
		return nil, span{}, nil
	}
	if len(c.Spans) > 0 && c.Spans[0].Bucket != "" {
		return t, c.Spans[0], nil
	}
	next := t.span(f.account, c.Planned, end)
	if len(c.Spans) > 0 {
		next = c.Spans[0]
	}
	last, err := s.spanEnd(t, &next)
	if err != nil || last < 0 {
		return nil, span{}, err
	}
	var begun span
	changed, err := s.change(id, func(t *trail, _ *state.Tx) error {
		c := f.of(t)
		if len(c.Spans) == 0 { // else the settings have changed meanwhile, which ended the span later than planned here
			c.Spans = []span{t.span(f.account, c.Planned, last)}
			c.Planned = last
		}
		spans := slices.Clone(c.Spans)
		if spans[0].At.IsZero() && (spans[0].To < 0 || spans[0].To > last) {
			rest := spans[0]
			rest.From = last
			spans[0].To = last
			if rest.To > last {
				spans = slices.Insert(spans, 1, rest)
			}
		}
		if spans[0].At.IsZero() {
			spans[0].At = s.now()
		}
		spans[0].Bucket, spans[0].Prefix = t.Bucket, t.Prefix
		c.Spans, begun = spans, spans[0]
		return nil
	})
	if err != nil || !changed {
		return nil, span{}, err
	}
	return s.byID(id), begun, nil
}

// spanEnd returns how far a span is delivered at once; -1 when that can't be said yet.
func (s *Service) spanEnd(t *trail, sp *span) (Position, error) {
	if sp.To >= 0 {
		return s.recorder(sp.Account).Cut(sp.From, sp.To, s.opts.SpanBytes)
	}
	for e, err := range s.opts.Recorder.Entries(sp.From, s.opts.Recorder.End()) {
		if err != nil {
			return 0, err
		}
		var event cloudtrail.Event
		if err := event.Decode(e.JSON); err != nil {
			return 0, fmt.Errorf("event at %#x: %w", int64(e.Position), err)
		}
		if event.RequestID == sp.Only {
			return e.Next, nil
		}
	}
	if s.now().Sub(t.Stopped) > stopWait {
		return s.opts.Recorder.End(), nil
	}
	return -1, nil
}

// choose calls fn with the span's events that the trail delivers, decoded and as they stand in the record. An event that
// can't be read back ends it with an error: the span is then tried again, and not passed over in silence.
func (s *Service) choose(t *trail, sp span, fn func(e *cloudtrail.Event, text string) error) error {
	for entry, err := range s.recorder(sp.Account).Entries(sp.From, sp.To) {
		if err != nil {
			return err
		}
		var e cloudtrail.Event
		if err := e.Decode(entry.JSON); err != nil {
			return fmt.Errorf("event at %#x: %w", int64(entry.Position), err)
		}
		if sp.chooses(t.HomeRegion, &e) {
			if err := fn(&e, entry.JSON); err != nil {
				return err
			}
		}
		if again, ok := dataCopy(&e); ok && sp.Only == "" && sp.chooses(t.HomeRegion, again) {
			if err := fn(again, string(again.AppendJSON(nil))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (sp *span) chooses(home string, e *cloudtrail.Event) bool {
	switch {
	case sp.Only != "":
		return e.RequestID == sp.Only
	case !sp.MultiRegion && e.AWSRegion != home:
		return false
	case !sp.GlobalEvents && isGlobal(e):
		return false
	}
	return sp.Selectors.Choose(e)
}

// isGlobal tells whether an event is of a global service. Since November 2021 those are recorded in us-east-1
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html#cloudtrail-concepts-global-service-events).
func isGlobal(e *cloudtrail.Event) bool {
	switch e.EventSource {
	case "iam.amazonaws.com", "sts.amazonaws.com", "cloudfront.amazonaws.com":
		return e.AWSRegion == "us-east-1"
	}
	return false
}

// deliverFiles writes a span's log files to the bucket, one a Region, and notes them for the digests.
func (s *Service) deliverFiles(ctx context.Context, t *trail, sp span) error {
	made, err := s.logFiles(t, sp)
	if err != nil {
		return err
	}
	done := map[string]*delivery{}
	var failed error
	for _, f := range made {
		if slices.Contains(sp.Done, f.region) {
			continue
		}
		d, err := s.deliverFile(ctx, t, sp, f)
		if err != nil {
			failed = err
			break
		}
		done[f.region] = d
	}
	_, err = s.change(t.ID, func(t *trail, tx *state.Tx) error {
		files := &t.of(sp.Account).Files
		for region, d := range done {
			if err := t.noteAll(tx, origin{sp.Account, region}, sp, d); err != nil {
				return err
			}
			if err := s.announce(tx, t, d.objects); err != nil {
				return err
			}
		}
		if len(made) > 0 {
			t.Status.Attempt, t.Status.DeliveryError = s.now(), errorCode(failed)
		}
		if len(done) > 0 {
			t.Status.Delivery = s.now()
		}
		if failed == nil {
			files.Spans = files.Spans[1:]
			return nil
		}
		spans := slices.Clone(files.Spans)
		for region := range done {
			spans[0].Done = append(slices.Clip(spans[0].Done), region)
		}
		spans[0].Bucket, spans[0].Prefix = "", "" // the next attempt goes where the trail then delivers
		files.Spans = spans
		return nil
	})
	return errors.Join(failed, err)
}

func (s *Service) deliverFile(ctx context.Context, t *trail, sp span, f *logFile) (*delivery, error) {
	d, err := s.plan(t, sp, f)
	if err != nil {
		return nil, err
	}
	if err := s.checkKey(ctx, t); err != nil {
		return nil, err
	}
	for _, o := range d.objects {
		if err := s.opts.Buckets.DeliverObject(ctx, o); err != nil {
			return nil, fmt.Errorf("delivering %s to bucket %s: %w", o.Key, o.Bucket, err)
		}
	}
	return d, nil
}

// object is a log file as it is put into the bucket, and what a digest says of it.
func (s *Service) object(t *trail, sp span, f *logFile, unique string) (*Object, fileEntry) {
	key := cloudtrail.Key{
		Prefix: sp.Prefix, Organization: sp.Organization, Account: s.account(sp.Account), Kind: cloudtrail.KindLog, Region: f.region,
		Time: sp.At, Unique: unique,
	}.String()
	o := &Object{
		Bucket: sp.Bucket, Key: key, Body: f.body.Bytes(),
		ContentType: "application/json", ContentEncoding: "gzip",
		Trail: t.ARN, KMSKey: t.KMSKey,
	}
	return o, fileEntry{Bucket: sp.Bucket, Key: key, Hash: f.hash, Newest: f.newest, Oldest: f.oldest}
}

// noteAll stores what became of a span's file in a Region.
func (t *trail) noteAll(tx *state.Tx, from origin, sp span, d *delivery) error {
	at := fmt.Sprintf("%016x", int64(sp.From))
	for i, entry := range d.entries {
		name := at
		if i > 0 {
			name += fmt.Sprintf("-%d", i)
		}
		if err := t.note(tx, from, name, entry); err != nil {
			return err
		}
	}
	if d.late == nil {
		return nil
	}
	return d.late.keep(tx, t.ID)
}

// checkKey tells whether the trail's files can be encrypted with its key now.
func (s *Service) checkKey(ctx context.Context, t *trail) error {
	if t.KMSKey == "" || s.opts.Key == nil {
		return nil
	}
	if _, err := s.opts.Key(ctx, t.HomeRegion, t.KMSKey, t.ARN); err != nil {
		return fmt.Errorf("encrypting with key %s: %w", t.KMSKey, err)
	}
	return nil
}

// announce tells the trail's topic of log files, a message for each, in the transaction that notes them as delivered. What
// the topic refuses is told by GetTrailStatus; the files have been delivered all the same.
func (s *Service) announce(tx *state.Tx, t *trail, files []*Object) error {
	if t.SNSTopicARN == "" || s.opts.Topics == nil {
		return nil
	}
	for _, o := range files {
		if err := s.announceFile(tx, t, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) announceFile(tx *state.Tx, t *trail, o *Object) error {
	message, err := json.Marshal(struct {
		Bucket string   `json:"s3Bucket"`
		Keys   []string `json:"s3ObjectKey"`
	}{o.Bucket, []string{o.Key}})
	if err != nil {
		return err
	}
	err = s.opts.Topics.PublishTx(tx, t.SNSTopicARN, t.ARN, string(message))
	var e *awsapi.Error
	if err != nil && !errors.As(err, &e) {
		return err
	}
	t.Status.NotifyAttempt, t.Status.NotifyError = s.now(), errorCode(err)
	if err == nil {
		t.Status.Notify = s.now()
	}
	return nil
}

// note stores a delivered log file for the origin's next digest; digests name files in the order of these names.
func (t *trail) note(tx *state.Tx, from origin, name string, f fileEntry) error {
	if !t.LogFileValidation {
		return nil
	}
	t.chainOf(from)
	return tx.Put(filesBucket, filesPrefix(t.ID, from)+name, f)
}

func filesPrefix(id string, from origin) string { return id + "/" + from.String() + "/" }

// deliverLogs appends a span's events to the log group.
func (s *Service) deliverLogs(ctx context.Context, t *trail, sp span) error {
	type message struct {
		at   time.Time
		text string
	}
	var messages []message
	err := s.choose(t, sp, func(e *cloudtrail.Event, text string) error {
		if len(text) <= maxLogEvent {
			messages = append(messages, message{e.EventTime, text})
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(messages, func(a, b message) int { return a.at.Compare(b.at) })
	events := func(yield func(time.Time, string) bool) {
		for _, m := range messages {
			if !yield(m.at, m.text) {
				return
			}
		}
	}
	deliver := len(messages) > 0 && sp.Group != ""
	stream := logStream(sp.Organization, s.account(sp.Account), t.HomeRegion)
	if deliver {
		err = s.checkLogRole(ctx, sp.Role, sp.Group, stream)
	}
	if err == nil {
		_, err = s.change(t.ID, func(t *trail, tx *state.Tx) error {
			logs := &t.of(sp.Account).Logs
			logs.Spans = logs.Spans[1:]
			if !deliver {
				return nil
			}
			t.Status.Logs, t.Status.LogsError = s.now(), ""
			region, group, _ := parseLogGroupARN(sp.Group)
			return s.opts.LogGroups.AppendTx(tx, region, group, stream, s.now(), events)
		})
	}
	if err == nil {
		return nil
	}
	_, noted := s.change(t.ID, func(t *trail, _ *state.Tx) error {
		t.Status.LogsError = errorCode(err)
		logs := &t.of(sp.Account).Logs
		spans := slices.Clone(logs.Spans)
		spans[0].Group, spans[0].Role = t.LogGroupARN, t.LogRoleARN // the user may have mended it
		logs.Spans = spans
		return nil
	})
	return errors.Join(fmt.Errorf("delivering to log group %s: %w", sp.Group, err), noted)
}

// logStream is the stream that an account's events go to, of all Regions.
func logStream(organization, account, home string) string {
	name := account + "_CloudTrail_" + home
	if organization != "" {
		return organization + "_" + name
	}
	return name
}

// account is the number of an account, "" being the service's own.
func (s *Service) account(name string) string {
	if name == "" {
		return s.opts.Account
	}
	return name
}

// errorCode is how the status tells an error: the AWS code.
func errorCode(err error) string {
	if err == nil {
		return ""
	}
	var e *awsapi.Error
	switch {
	case !errors.As(err, &e) || e.Code == "":
		return "InternalError"
	case e.Code == "InsufficientS3BucketPolicy":
		return "AccessDenied" // what S3 would say to CloudTrail
	}
	return e.Code
}
