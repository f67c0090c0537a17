package collect

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
)

// PublicKey is a key with which CloudTrail signed digests.
type PublicKey struct {
	DER         []byte // PKCS #1
	Fingerprint string
	From, To    time.Time // when it was used
}

// PublicKeys asks CloudTrail's ListPublicKeys
// (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_ListPublicKeys.html) for the keys of a Region that
// were used between two times. Credentials and endpoint come from AWS's own chain.
func PublicKeys(ctx context.Context, region string, from, to time.Time) ([]PublicKey, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, fmt.Errorf("loading AWS settings: %w", err)
	}
	pages := cloudtrail.NewListPublicKeysPaginator(cloudtrail.NewFromConfig(cfg), &cloudtrail.ListPublicKeysInput{StartTime: &from, EndTime: &to})
	var keys []PublicKey
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing CloudTrail's public keys of %s: %w", region, err)
		}
		for _, k := range page.PublicKeyList {
			keys = append(keys, PublicKey{k.Value, aws.ToString(k.Fingerprint), aws.ToTime(k.ValidityStartTime), aws.ToTime(k.ValidityEndTime)})
		}
	}
	return keys, nil
}
