package endpoint_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"slices"
	"testing"

	trailevent "github.com/aitrail/aitrail/internal/cloudtrail"
)

// inflated is a gzip file's content.
func inflated(t *testing.T, body []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// delivered are the records of all log files of a bucket, by request id; the completion of a stream has one of its own.
func delivered(t *testing.T, h *held) map[string]trailevent.Event {
	t.Helper()
	all := map[string]trailevent.Event{}
	for key, o := range h.objects {
		k, ok := trailevent.ParseKey(key)
		if !ok || k.Kind != trailevent.KindLog {
			continue
		}
		var file struct{ Records []json.RawMessage }
		if err := json.Unmarshal(inflated(t, o.body), &file); err != nil {
			t.Fatal(err)
		}
		for _, r := range file.Records {
			var e trailevent.Event
			if err := e.Decode(string(r)); err != nil {
				t.Fatal(err)
			}
			if _, twice := all[e.RequestID]; twice {
				t.Errorf("%s %s is delivered twice", e.EventName, e.RequestID)
			}
			all[e.RequestID] = e
		}
	}
	return all
}

func reverse(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return ids
}
