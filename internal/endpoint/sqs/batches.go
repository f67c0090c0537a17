package sqs

import (
	"errors"
	"regexp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// maxBatch is how many entries a batch has, and maxBatchSize how long its bodies are together.
const (
	maxBatch     = 10
	maxBatchSize = 1 << 20
)

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// failure is an entry of a batch that couldn't be done.
type failure struct {
	ID          string `aws:"Id"`
	SenderFault bool   `aws:",keep"`
	Code        string
	Message     string
}

// batch does fn for every entry of a batch, by its id, in one transaction. Errors of the API are the entry's own.
func (s *Service) batch(c *awsapi.Call, in any, ids []string, fn func(tx *state.Tx, q *queue, i int) error) (failed []failure, err error) {
	switch {
	case len(ids) == 0:
		return nil, fail("EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request.")
	case len(ids) > maxBatch:
		return nil, fail("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(ids))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if !idPattern.MatchString(id) {
			return nil, fail("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id] {
			return nil, fail("BatchEntryIdsNotDistinct", "Id %s repeated.", id)
		}
		seen[id] = true
	}
	err = s.opts.State.Update(func(tx *state.Tx) error {
		failed = nil
		q, err := getQueue(tx, c.Region, nameOf(c, in))
		if err != nil {
			return err
		}
		for i, id := range ids {
			err := fn(tx, q, i)
			var e *awsapi.Error
			if errors.As(err, &e) {
				failed = append(failed, failure{id, true, e.Code, e.Message})
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return failed, err
}

type sendBatchInput struct {
	QueueURL string  `aws:"QueueUrl"`
	Entries  []entry `aws:",flat=SendMessageBatchRequestEntry"`
}

func (in *sendBatchInput) queue() string { return in.QueueURL }

type sendBatchOutput struct {
	Successful []sendOutput `aws:",keep,flat=SendMessageBatchResultEntry"`
	Failed     []failure    `aws:",flat=BatchResultErrorEntry"`
}

func (s *Service) sendMessageBatch(c *awsapi.Call, in *sendBatchInput) (any, error) {
	var ids []string
	size := 0
	for i := range in.Entries {
		ids = append(ids, in.Entries[i].ID)
		size += in.Entries[i].size()
	}
	if size > maxBatchSize {
		return nil, fail("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxBatchSize, size)
	}
	out := &sendBatchOutput{}
	failed, err := s.batch(c, in, ids, func(tx *state.Tx, q *queue, i int) error {
		sent, err := s.send(tx, c, q, &in.Entries[i])
		if err == nil {
			out.Successful = append(out.Successful, *sent)
		}
		return err
	})
	out.Failed = failed
	return out, err
}

type done struct {
	ID string `aws:"Id"`
}

type deleteBatchInput struct {
	QueueURL string `aws:"QueueUrl"`
	Entries  []struct {
		ID            string `aws:"Id"`
		ReceiptHandle string
	} `aws:",flat=DeleteMessageBatchRequestEntry"`
}

func (in *deleteBatchInput) queue() string { return in.QueueURL }

type deleteBatchOutput struct {
	Successful []done    `aws:",keep,flat=DeleteMessageBatchResultEntry"`
	Failed     []failure `aws:",flat=BatchResultErrorEntry"`
}

func (s *Service) deleteMessageBatch(c *awsapi.Call, in *deleteBatchInput) (any, error) {
	var ids []string
	for _, e := range in.Entries {
		ids = append(ids, e.ID)
	}
	out := &deleteBatchOutput{}
	failed, err := s.batch(c, in, ids, func(tx *state.Tx, q *queue, i int) error {
		err := remove(tx, q, in.Entries[i].ReceiptHandle)
		if err == nil {
			out.Successful = append(out.Successful, done{ids[i]})
		}
		return err
	})
	out.Failed = failed
	return out, err
}

type visibilityBatchInput struct {
	QueueURL string `aws:"QueueUrl"`
	Entries  []struct {
		ID                string `aws:"Id"`
		ReceiptHandle     string
		VisibilityTimeout *int
	} `aws:",flat=ChangeMessageVisibilityBatchRequestEntry"`
}

func (in *visibilityBatchInput) queue() string { return in.QueueURL }

type visibilityBatchOutput struct {
	Successful []done    `aws:",keep,flat=ChangeMessageVisibilityBatchResultEntry"`
	Failed     []failure `aws:",flat=BatchResultErrorEntry"`
}

func (s *Service) changeVisibilityBatch(c *awsapi.Call, in *visibilityBatchInput) (any, error) {
	var ids []string
	for _, e := range in.Entries {
		ids = append(ids, e.ID)
	}
	out := &visibilityBatchOutput{}
	failed, err := s.batch(c, in, ids, func(tx *state.Tx, q *queue, i int) error {
		err := s.rehide(tx, q, in.Entries[i].ReceiptHandle, in.Entries[i].VisibilityTimeout)
		if err == nil {
			out.Successful = append(out.Successful, done{ids[i]})
		}
		return err
	})
	out.Failed = failed
	return out, err
}
