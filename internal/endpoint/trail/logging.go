package trail

import (
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

func (s *Service) startLogging(c *awsapi.Call, in *nameInput) (any, error) {
	found, err := s.findHome(c, in.Name)
	if err != nil {
		return nil, err
	}
	return empty{}, s.changeOrGone(found, func(t *trail, _ *state.Tx) error {
		if t.Logging {
			return nil
		}
		ends := s.ends()
		t.closeOpen(ends[""])
		t.begin(ends, s.now())
		return nil
	})
}

func (s *Service) stopLogging(c *awsapi.Call, in *nameInput) (any, error) {
	found, err := s.findHome(c, in.Name)
	if err != nil {
		return nil, err
	}
	return empty{}, s.changeOrGone(found, func(t *trail, _ *state.Tx) error {
		if t.Logging {
			t.end(s.ends(), s.now(), c.ID)
		}
		return nil
	})
}

// statusOutput is GetTrailStatus's answer. The members with text are the ones that AWS calls no longer in use; it still
// fills them.
type statusOutput struct {
	IsLogging                         bool
	LatestDeliveryError               string `json:",omitempty"`
	LatestDeliveryTime                *epoch `json:",omitempty"`
	LatestNotificationError           string `json:",omitempty"`
	LatestNotificationTime            *epoch `json:",omitempty"`
	StartLoggingTime                  *epoch `json:",omitempty"`
	StopLoggingTime                   *epoch `json:",omitempty"`
	LatestCloudWatchLogsDeliveryError string `json:",omitempty"`
	LatestCloudWatchLogsDeliveryTime  *epoch `json:",omitempty"`
	LatestDigestDeliveryTime          *epoch `json:",omitempty"`
	LatestDigestDeliveryError         string `json:",omitempty"`
	LatestDeliveryAttemptTime         string
	LatestNotificationAttemptTime     string
	LatestNotificationAttemptSucceed  string `json:"LatestNotificationAttemptSucceeded"`
	LatestDeliveryAttemptSucceeded    string
	TimeLoggingStarted                string
	TimeLoggingStopped                string
}

func (s *Service) getTrailStatus(c *awsapi.Call, in *nameInput) (any, error) {
	t, err := s.find(c, in.Name)
	if err != nil {
		return nil, err
	}
	st := &t.Status
	return &statusOutput{
		IsLogging:                         t.Logging,
		LatestDeliveryError:               st.DeliveryError,
		LatestDeliveryTime:                at(st.Delivery),
		StartLoggingTime:                  at(t.Started),
		StopLoggingTime:                   at(t.Stopped),
		LatestCloudWatchLogsDeliveryError: st.LogsError,
		LatestCloudWatchLogsDeliveryTime:  at(st.Logs),
		LatestDigestDeliveryTime:          at(st.Digest),
		LatestDigestDeliveryError:         st.DigestError,
		LatestDeliveryAttemptTime:         text(st.Attempt),
		LatestDeliveryAttemptSucceeded:    text(st.Delivery),
		LatestNotificationError:           st.NotifyError,
		LatestNotificationTime:            at(st.Notify),
		LatestNotificationAttemptTime:     text(st.NotifyAttempt),
		LatestNotificationAttemptSucceed:  text(st.Notify),
		TimeLoggingStarted:                text(t.Started),
		TimeLoggingStopped:                text(t.Stopped),
	}, nil
}

// text writes a time as the status's text members do.
func text(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
