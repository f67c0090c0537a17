package logs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// The limits of the API
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html and API_GetLogEvents.html).
const (
	maxBatch      = 10_000
	maxBatchBytes = 1 << 20
	eventOverhead = 26 // bytes that an event counts besides its message
	maxPage       = 10_000
	maxPageBytes  = 1 << 20
	filterWork    = 100_000 // events that one FilterLogEvents looks at; then it answers with a token
)

func asError(err error, e **awsapi.Error) bool { return errors.As(err, e) }

type rejected struct {
	TooNewLogEventStartIndex *int `json:"tooNewLogEventStartIndex,omitempty"`
	TooOldLogEventEndIndex   *int `json:"tooOldLogEventEndIndex,omitempty"`
	ExpiredLogEventEndIndex  *int `json:"expiredLogEventEndIndex,omitempty"`
}

func (s *Service) putLogEvents(c *awsapi.Call, in *struct {
	names
	LogEvents []struct {
		Timestamp int64
		Message   string
	}
}) (any, error) {
	if n := len(in.LogEvents); n == 0 || n > maxBatch {
		return nil, fail(badParameter, "1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length between 1 and %d", maxBatch)
	}
	events, size := make([]event, len(in.LogEvents)), 0
	for i, e := range in.LogEvents {
		if e.Message == "" {
			return nil, fail(badParameter, "Log event message must not be empty")
		}
		if i > 0 && e.Timestamp < events[i-1].Time {
			return nil, fail(badParameter, "Log events in a single PutLogEvents request must be in chronological order.")
		}
		size += len(e.Message) + eventOverhead
		events[i] = event{e.Timestamp, e.Message}
	}
	if size > maxBatchBytes {
		return nil, fail(badParameter, "Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	}
	if events[len(events)-1].Time-events[0].Time > 24*time.Hour.Milliseconds() {
		return nil, fail(badParameter, "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	var out struct {
		NextSequenceToken     string    `json:"nextSequenceToken"`
		RejectedLogEventsInfo *rejected `json:"rejectedLogEventsInfo,omitempty"`
	}
	err := s.changeGroup(c.Region, in.LogGroupName, func(g *group, tx *state.Tx) error {
		st, err := getStream(tx, g, in.LogStreamName)
		if err != nil {
			return err
		}
		now := s.now()
		accepted, info := accept(events, g, now.UnixMilli())
		out.RejectedLogEventsInfo = info
		err = st.append(tx, g, now, accepted)
		out.NextSequenceToken = sequenceToken(st)
		return err
	})
	return &out, err
}

// accept returns the events that are taken: neither expired, nor older than 14 days, nor over two hours ahead.
func accept(events []event, g *group, now int64) ([]event, *rejected) {
	before := func(limit int64) int {
		i, _ := slices.BinarySearchFunc(events, limit, func(e event, limit int64) int { return int(min(max(e.Time-limit, -1), 1)) })
		return i
	}
	tooOld := before(now - 14*24*time.Hour.Milliseconds())
	expired := before(g.oldest(now))
	tooNew := before(now + 2*time.Hour.Milliseconds() + 1)
	var info rejected
	if tooOld > 0 {
		info.TooOldLogEventEndIndex = &tooOld
	}
	if expired > 0 {
		info.ExpiredLogEventEndIndex = &expired
	}
	if tooNew < len(events) {
		info.TooNewLogEventStartIndex = &tooNew
	}
	if info == (rejected{}) {
		return events, nil
	}
	from := max(tooOld, expired)
	return events[from:max(from, tooNew)], &info
}

// window is the time that is read: from included, to excluded.
func window(g *group, now int64, start, end *int64) (from, to int64) {
	from, to = g.oldest(now), math.MaxInt64
	if start != nil {
		from = max(from, *start)
	}
	if end != nil {
		to = *end
	}
	return from, to
}

type outputEvent struct {
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
}

func (s *Service) getLogEvents(c *awsapi.Call, in *struct {
	names
	StartTime, EndTime *int64
	NextToken          string
	Limit              *int
	StartFromHead      bool
}) (any, error) {
	limit, err := eventLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	direction, from, err := parseToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	forward := in.StartFromHead
	if in.NextToken != "" {
		forward = direction == 'f'
	}
	var out struct {
		Events            []outputEvent `json:"events"`
		NextForwardToken  string        `json:"nextForwardToken"`
		NextBackwardToken string        `json:"nextBackwardToken"`
	}
	out.Events = []outputEvent{}
	first, last := from, from
	err = s.opts.Store.View(func(tx *state.Tx) error {
		g, err := getGroup(tx, c.Region, in.group())
		if err != nil {
			return err
		}
		st, err := getStream(tx, g, in.LogStreamName)
		if err != nil {
			return err
		}
		m := &merger{tx: tx, forward: forward, after: from}
		m.from, m.to = window(g, s.now().UnixMilli(), in.StartTime, in.EndTime)
		if err := m.add(st); err != nil {
			return err
		}
		size := 0
		for len(out.Events) < limit {
			e, err := m.next()
			if err != nil {
				return err
			}
			if e == nil {
				break
			}
			if size += len(e.Message) + eventOverhead; size > maxPageBytes && len(out.Events) > 0 {
				break
			}
			if len(out.Events) == 0 {
				first = &e.place
			}
			last = &e.place
			out.Events = append(out.Events, outputEvent{e.Time, e.Message, e.chunk.Ingested})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !forward {
		slices.Reverse(out.Events)
		first, last = last, first
	}
	out.NextForwardToken, out.NextBackwardToken = token('f', last), token('b', first)
	return &out, nil
}

func eventLimit(limit *int) (int, error) {
	switch {
	case limit == nil:
		return maxPage, nil
	case *limit < 1 || *limit > maxPage:
		return 0, fail(badParameter, "Limit must be between 1 and %d.", maxPage)
	}
	return *limit, nil
}

// token is a page token: the direction, 'f' or 'b', and the place that has been read up to; nil stands for none yet.
func token(direction byte, p *place) string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers and a string: can't fail
	}
	return string(direction) + "/" + base64.RawURLEncoding.EncodeToString(b)
}

func parseToken(token string) (direction byte, p *place, err error) {
	if token == "" {
		return 0, nil, nil
	}
	b, decoding := base64.RawURLEncoding.DecodeString(token[min(2, len(token)):])
	if decoding != nil || token[0] != 'f' && token[0] != 'b' || json.Unmarshal(b, &p) != nil {
		return 0, nil, fail(badParameter, "The specified nextToken is invalid.")
	}
	return token[0], p, nil
}

type filterInput struct {
	names
	LogStreamNames      []string
	LogStreamNamePrefix string
	StartTime, EndTime  *int64
	FilterPattern       string
	NextToken           string
	Limit               *int
}

type filteredEvent struct {
	LogStreamName string `json:"logStreamName"`
	outputEvent
	EventID string `json:"eventId"`
}

type filterOutput struct {
	Events             []filteredEvent `json:"events"`
	SearchedLogStreams []any           `json:"searchedLogStreams"`
	NextToken          string          `json:"nextToken,omitempty"`
}

func (s *Service) filterLogEvents(c *awsapi.Call, in *filterInput) (any, error) {
	limit, err := eventLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != "" {
		return nil, fail(badParameter, "logStreamNamePrefix and logStreamNames are mutually exclusive parameters.")
	}
	matches, err := parsePattern(in.FilterPattern)
	if err != nil {
		return nil, fail(badParameter, "Invalid filter pattern: %v", err)
	}
	_, after, err := parseToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &filterOutput{Events: []filteredEvent{}, SearchedLogStreams: []any{}}
	err = s.opts.Store.View(func(tx *state.Tx) error {
		g, err := getGroup(tx, c.Region, in.group())
		if err != nil {
			return err
		}
		m := &merger{tx: tx, forward: true, after: after}
		m.from, m.to = window(g, s.now().UnixMilli(), in.StartTime, in.EndTime)
		if in.EndTime != nil && *in.EndTime < math.MaxInt64 {
			m.to = *in.EndTime + 1 // the end is included here
		}
		if err := in.addStreams(tx, g, m); err != nil {
			return err
		}
		return out.collect(m, limit, matches)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (in *filterInput) addStreams(tx *state.Tx, g *group, m *merger) error {
	if len(in.LogStreamNames) == 0 {
		entries, err := state.ListTx[stream](tx, streamsBucket, g.ID+"/"+in.LogStreamNamePrefix)
		for i := range entries {
			if err == nil {
				err = m.add(&entries[i].Value)
			}
		}
		return err
	}
	for _, name := range in.LogStreamNames {
		st, err := getStream(tx, g, name)
		if err == nil {
			err = m.add(st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (out *filterOutput) collect(m *merger, limit int, matches func(string) bool) error {
	size := 0
	for n := 1; ; n++ {
		e, err := m.next()
		if err != nil || e == nil {
			return err
		}
		last := e.place
		if matches(e.Message) {
			size += len(e.Message) + eventOverhead
			out.Events = append(out.Events, filteredEvent{
				e.stream, outputEvent{e.Time, e.Message, e.chunk.Ingested}, eventID(&e.place),
			})
		}
		if len(out.Events) == limit || size >= maxPageBytes || n == filterWork {
			out.NextToken = token('f', &last)
			return nil
		}
	}
}

// eventID names an event: the same event has the same id in every answer.
func eventID(p *place) string {
	return fmt.Sprintf("%s%06d", strings.ReplaceAll(p.Chunk, "/", ""), p.Index)
}
