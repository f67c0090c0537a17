package provision

// Outputs are what users of the set-up need to know. Those of options that are off are "".
type Outputs struct {
	Bucket           string   `json:"bucket_name"`
	TrailARN         string   `json:"trail_arn"`
	Trail            string   `json:"trail_name"`
	Prefix           string   `json:"key_prefix"`
	Region           string   `json:"region"`
	LogGroup         string   `json:"log_group_name"`
	LogGroupARN      string   `json:"log_group_arn"`
	RoleARN          string   `json:"role_arn"`
	QueueURL         string   `json:"queue_url"`
	QueueARN         string   `json:"queue_arn"`
	KMSKeyARN        string   `json:"kms_key_arn"`
	InvocationBucket string   `json:"invocation_bucket_name"`
	LakeBucket       string   `json:"lake_bucket_name"`
	Database         string   `json:"database_name"`
	Workgroup        string   `json:"workgroup_name"`
	LeftOut          []string `json:"left_out_data_types"` // resources.type values the Region refuses
}
