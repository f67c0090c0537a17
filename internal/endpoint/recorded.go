package endpoint

import (
	"fmt"
	"iter"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// Recorded yields every event that the endpoint has recorded and still keeps, in the order of recording, account for
// account, delivered or not. The event is valid until the next. It ends at the first error, which it yields.
func (s *Server) Recorded() iter.Seq2[*cloudtrail.Event, error] {
	return func(yield func(*cloudtrail.Event, error) bool) {
		var e cloudtrail.Event
		for _, a := range s.accounts() {
			for entry, err := range a.recorder.Entries(a.recorder.Begin(), a.recorder.End()) {
				if err == nil {
					if err = e.Decode(entry.JSON); err != nil {
						err = fmt.Errorf("recorded event: %w", err)
					}
				}
				if !yield(&e, err) || err != nil {
					return
				}
			}
		}
	}
}
