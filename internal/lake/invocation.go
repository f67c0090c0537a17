package lake

import (
	"crypto/sha256"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// Invocation adds an invocation of a model; index is its place in the log file, from 0. Nothing of v is kept. Prompts, answers,
// where they lie, and the caller's metadata are left out unless keep is set: no byte of them is written anywhere. Errors are as
// of Event.
func (f *File) Invocation(v *cloudtrail.Invocation, index int, keep bool) error {
	c, err := f.rows(Invocations)
	if err != nil {
		return err
	}
	row := invocationRow{
		RequestID: v.RequestID, Account: v.AccountID, Time: microsOf(v.Time, new(micros)), Region: v.Region, CallerARN: v.CallerARN,
		Operation: v.Operation, CalledModel: v.ModelID, InferenceRegion: v.InferenceRegion,
		InputTokens: known(v.InputTokens), OutputTokens: known(v.OutputTokens),
		CacheReadTokens: known(v.CacheReadTokens), CacheWriteTokens: known(v.CacheWriteTokens), LatencyMS: known(v.LatencyMS),
		StopReason: v.StopReason, GuardrailAction: v.GuardrailAction, ErrorCode: v.ErrorCode,
		SourceObject: f.row.Object, SourceIndex: int64(index),
	}
	row.ModelID, _, _ = baseModel(v.ModelID)
	if keep {
		row.InputBody, row.OutputBody, row.RequestMetadata = string(v.InputBody), string(v.OutputBody), string(v.Metadata)
		row.InputBodyS3, row.OutputBodyS3 = v.InputBodyS3, v.OutputBodyS3
	}
	c.addInvocation(&row, ref{f.row.number, uint32(index)})
	f.row.Events++
	return f.added(v.Time)
}

// known is a number that may be -1 for none.
func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

// addInvocation adds a row of invocations: the values in the order of invocationRow's fields.
func (c *chunk) addInvocation(r *invocationRow, at ref) {
	c.next()
	h := head{noTime, at, invocationKey(r.RequestID, r.Account, r.Region)}
	if r.Time != nil {
		h.time = *r.Time
	}
	c.heads = append(c.heads, h)
	c.text(r.RequestID)
	c.text(r.Account)
	c.time(r.Time.time())
	for _, s := range []string{r.Region, r.CallerARN, r.Operation, r.CalledModel, r.ModelID, r.InferenceRegion} {
		c.text(s)
	}
	for _, n := range []*int64{r.InputTokens, r.OutputTokens, r.CacheReadTokens, r.CacheWriteTokens, r.LatencyMS} {
		c.number(orMinusOne(n), n != nil)
	}
	for _, s := range []string{r.StopReason, r.GuardrailAction, r.ErrorCode,
		r.InputBody, r.OutputBody, r.InputBodyS3, r.OutputBodyS3, r.RequestMetadata, r.SourceObject} {
		c.text(s)
	}
	c.number(r.SourceIndex, true)
}

// invocationKey is the identity of an invocation: its request id, account and Region. Those without a request id are never
// taken for the same.
func invocationKey(requestID, account, region string) key {
	if requestID == "" {
		return key{}
	}
	sum := sha256.Sum256([]byte(requestID + "\x00" + account + "\x00" + region))
	return key(sum[:16])
}
