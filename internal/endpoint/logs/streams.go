package logs

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// stream is a log stream.
type stream struct {
	ID          string
	Name        string
	Created     int64
	First, Last int64 // the times of its oldest and newest event
	Ingested    int64 // when it was last written to
	Chunks      int64 // how many were ever written; the number of the next one
	Stored      int64
}

// chunk is the header of events that were written together.
type chunk struct {
	First, Last int64
	Ingested    int64
	Count       int
	Bytes       int64 // of messages
}

// event is one log event.
type event struct {
	Time    int64  `json:"t"`
	Message string `json:"m"`
}

var streamPattern = regexp.MustCompile(`^[^:*]{1,512}$`)

func chunkKey(id string, number int64) string { return fmt.Sprintf("%s/%016x", id, number) }

func getStream(tx *state.Tx, g *group, name string) (*stream, error) {
	var st stream
	found, err := tx.Get(streamsBucket, g.ID+"/"+name, &st)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fail(notFound, "The specified log stream does not exist.")
	}
	return &st, nil
}

func newStream(name string, now time.Time) *stream {
	return &stream{ID: strings.ToLower(rand.Text()), Name: name, Created: now.UnixMilli()}
}

// remove deletes the stream, which has this key, with its events.
func (st *stream) remove(tx *state.Tx, key string) error {
	chunks, err := state.ListTx[chunk](tx, chunksBucket, st.ID+"/")
	if err != nil {
		return err
	}
	for _, c := range chunks {
		if err := removeChunk(tx, c.Key); err != nil {
			return err
		}
	}
	return tx.Delete(streamsBucket, key)
}

func removeChunk(tx *state.Tx, key string) error {
	if err := tx.Delete(dataBucket, key); err != nil {
		return err
	}
	return tx.Delete(chunksBucket, key)
}

// AppendTx adds events (time and message, oldest first) to a log stream inside the caller's transaction, and makes the
// stream if need be. The error is an *awsapi.Error when there is no such group.
func (s *Service) AppendTx(tx *state.Tx, region, groupName, streamName string, now time.Time, events iter.Seq2[time.Time, string]) error {
	g, err := getGroup(tx, region, groupName)
	if err != nil {
		return err
	}
	var st *stream
	var e *awsapi.Error
	st, err = getStream(tx, g, streamName)
	if asError(err, &e) && e.Code == notFound {
		st, err = newStream(streamName, now), nil
	}
	if err != nil {
		return err
	}
	var list []event
	for at, message := range events {
		list = append(list, event{at.UnixMilli(), message})
	}
	if err := st.append(tx, g, now, list); err != nil {
		return err
	}
	return tx.Put(groupsBucket, region+"/"+g.Name, g)
}

// append writes events, in the order of their times, and frees what has expired. It stores the stream; the caller stores
// the group.
func (st *stream) append(tx *state.Tx, g *group, now time.Time, events []event) error {
	if len(events) > 0 {
		c := chunk{First: events[0].Time, Last: events[len(events)-1].Time, Ingested: now.UnixMilli(), Count: len(events)}
		for _, e := range events {
			c.Bytes += int64(len(e.Message))
		}
		data, err := pack(events)
		if err != nil {
			return err
		}
		key := chunkKey(st.ID, st.Chunks)
		if err := tx.Put(chunksBucket, key, c); err != nil {
			return err
		}
		if err := tx.Put(dataBucket, key, data); err != nil {
			return err
		}
		if st.Chunks == 0 || c.First < st.First {
			st.First = c.First
		}
		st.Last, st.Ingested = max(st.Last, c.Last), c.Ingested
		st.Chunks++
		st.Stored += c.Bytes
		g.Stored += c.Bytes
	}
	if err := st.expire(tx, g, now); err != nil {
		return err
	}
	return tx.Put(streamsBucket, g.ID+"/"+st.Name, st)
}

// expire frees the stream's first chunks whose events have all expired.
func (st *stream) expire(tx *state.Tx, g *group, now time.Time) error {
	limit := g.oldest(now.UnixMilli())
	if limit <= st.First {
		return nil
	}
	chunks, err := state.ListTx[chunk](tx, chunksBucket, st.ID+"/")
	if err != nil {
		return err
	}
	for _, c := range chunks {
		if c.Value.Last >= limit {
			st.First = min(c.Value.First, limit)
			return nil
		}
		if err := removeChunk(tx, c.Key); err != nil {
			return err
		}
		st.Stored -= c.Value.Bytes
		g.Stored -= c.Value.Bytes
	}
	return nil
}

// pack and unpack turn events into a chunk's data and back.
func pack(events []event) ([]byte, error) {
	plain, err := json.Marshal(events)
	if err != nil {
		return nil, err
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.EncodeAll(plain, nil), nil
}

func unpack(data []byte) (events []event, err error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	plain, err := r.DecodeAll(data, nil)
	if err == nil {
		err = json.Unmarshal(plain, &events)
	}
	return events, err
}

func (s *Service) createLogStream(c *awsapi.Call, in *names) (any, error) {
	if !streamPattern.MatchString(in.LogStreamName) {
		return nil, fail(badParameter, "1 validation error detected: Value '%s' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*", in.LogStreamName)
	}
	return empty{}, s.opts.Store.Update(func(tx *state.Tx) error {
		g, err := getGroup(tx, c.Region, in.LogGroupName)
		if err != nil {
			return err
		}
		var old stream
		found, err := tx.Get(streamsBucket, g.ID+"/"+in.LogStreamName, &old)
		if err != nil {
			return err
		}
		if found {
			return fail(exists, "The specified log stream already exists")
		}
		return tx.Put(streamsBucket, g.ID+"/"+in.LogStreamName, newStream(in.LogStreamName, s.now()))
	})
}

func (s *Service) deleteLogStream(c *awsapi.Call, in *names) (any, error) {
	return empty{}, s.changeGroup(c.Region, in.LogGroupName, func(g *group, tx *state.Tx) error {
		st, err := getStream(tx, g, in.LogStreamName)
		if err != nil {
			return err
		}
		g.Stored -= st.Stored
		return st.remove(tx, g.ID+"/"+st.Name)
	})
}

type streamOutput struct {
	LogStreamName       string `json:"logStreamName"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp *int64 `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  *int64 `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   *int64 `json:"lastIngestionTime,omitempty"`
	UploadSequenceToken string `json:"uploadSequenceToken"`
	ARN                 string `json:"arn"`
	StoredBytes         int64  `json:"storedBytes"`
}

func (s *Service) describeLogStreams(c *awsapi.Call, in *struct {
	names
	LogStreamNamePrefix, OrderBy, NextToken string
	Descending                              bool
	Limit                                   *int
}) (any, error) {
	limit, err := pageLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	byTime := in.OrderBy == "LastEventTime"
	if byTime && in.LogStreamNamePrefix != "" {
		return nil, fail(badParameter, "Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	streams, err := s.streams(c.Region, in.group(), in.LogStreamNamePrefix)
	if err != nil {
		return nil, err
	}
	if byTime {
		slices.SortStableFunc(streams, func(a, b stream) int { return int(min(max(a.Last-b.Last, -1), 1)) })
	}
	if in.Descending {
		slices.Reverse(streams)
	}
	if in.NextToken != "" {
		i := slices.IndexFunc(streams, func(st stream) bool { return st.Name == in.NextToken })
		streams = streams[i+1:]
	}
	var out struct {
		LogStreams []streamOutput `json:"logStreams"`
		NextToken  string         `json:"nextToken,omitempty"`
	}
	out.LogStreams = []streamOutput{}
	for i := range streams {
		st := &streams[i]
		if i == limit {
			out.NextToken = streams[i-1].Name
			break
		}
		o := streamOutput{
			LogStreamName: st.Name, CreationTime: st.Created, UploadSequenceToken: sequenceToken(st),
			ARN: s.arn(c.Region, in.group()) + ":log-stream:" + st.Name, StoredBytes: st.Stored,
		}
		if st.Chunks > 0 {
			o.FirstEventTimestamp, o.LastEventTimestamp, o.LastIngestionTime = &st.First, &st.Last, &st.Ingested
		}
		out.LogStreams = append(out.LogStreams, o)
	}
	return &out, nil
}

// sequenceToken is what PutLogEvents answers; it is no longer needed to write.
func sequenceToken(st *stream) string { return fmt.Sprintf("%056d", st.Chunks+1) }

func (s *Service) streams(region, group, prefix string) (streams []stream, err error) {
	err = s.opts.Store.View(func(tx *state.Tx) error {
		g, err := getGroup(tx, region, group)
		if err != nil {
			return err
		}
		entries, err := state.ListTx[stream](tx, streamsBucket, g.ID+"/"+prefix)
		for _, e := range entries {
			streams = append(streams, e.Value)
		}
		return err
	})
	return streams, err
}
