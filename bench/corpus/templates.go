package corpus

// template is one kind of record. Text in braces is filled in by generator.text.
type template struct {
	weight     int // share of the records, of 1,000
	source     string
	name       string
	readOnly   bool
	data       bool   // a data event, not a management event
	service    bool   // called by an AWS service, not by someone
	host       string // the TLS host header; "" for none
	request    string // "" stands for null
	response   string
	additional string
	resources  string
	completion bool // followed by the record that AWS writes when the stream ends
	ai         bool
}

const s3Additional = `{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":{n0-4000},"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{b64:76}","bytesTransferredOut":{n0-90000}}`

const bucketResource = `[{"accountId":"{account}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{bucket}"}]`

const modelResource = `[{"type":"AWS::Bedrock::Model","ARN":"arn:aws:bedrock:{region}::foundation-model/{model}"}]`

// templates are the records of a corpus; 15 % of the weights are AI services'.
var templates = []template{
	{weight: 90, source: "kms.amazonaws.com", name: "Decrypt", readOnly: true, service: true,
		request:   `{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"SecretARN":"arn:aws:secretsmanager:{region}:{account}:secret:{word}/{word}-{alnum6}","SecretVersionId":"{uuid}"}}`,
		resources: `[{"accountId":"{account}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{region}:{account}:key/{key}"}]`},
	{weight: 40, source: "kms.amazonaws.com", name: "GenerateDataKey", readOnly: true, service: true,
		request:   `{"keySpec":"AES_256","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::{bucket}"},"keyId":"arn:aws:kms:{region}:{account}:key/{key}"}`,
		resources: `[{"accountId":"{account}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{region}:{account}:key/{key}"}]`},
	{weight: 60, source: "ec2.amazonaws.com", name: "DescribeInstances", readOnly: true, host: "ec2.{region}.amazonaws.com",
		request: `{"maxResults":{n5-1000},"instancesSet":{"items":[{"instanceId":"i-0{hex16}"},{"instanceId":"i-0{hex16}"}]},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"},{"value":"pending"}]}}]}}`},
	{weight: 50, source: "ec2.amazonaws.com", name: "DescribeRouteTables", readOnly: true, host: "ec2.{region}.amazonaws.com",
		request: `{"routeTableIdSet":{"items":[{"routeTableId":"rtb-0{hex16}"}]},"filterSet":{}}`},
	{weight: 30, source: "ec2.amazonaws.com", name: "DescribeSecurityGroups", readOnly: true, host: "ec2.{region}.amazonaws.com",
		request: `{"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"sg-0{hex16}"}]},"filterSet":{}}`},
	{weight: 25, source: "ec2.amazonaws.com", name: "DescribeVpcAttribute", readOnly: true, host: "ec2.{region}.amazonaws.com",
		request: `{"vpcId":"vpc-0{hex16}","attribute":"enableDnsHostnames"}`},
	{weight: 20, source: "ec2.amazonaws.com", name: "RunInstances", host: "ec2.{region}.amazonaws.com",
		request:  `{"instancesSet":{"items":[{"imageId":"ami-0{hex16}","minCount":1,"maxCount":1}]},"instanceType":"m7g.large","blockDeviceMapping":{},"monitoring":{"enabled":false},"disableApiTermination":false,"clientToken":"{uuid}","networkInterfaceSet":{"items":[{"networkInterfaceId":"eni-0{hex16}","deviceIndex":0,"deleteOnTermination":false}]},"iamInstanceProfile":{"name":"{role}"},"tagSpecificationSet":{"items":[{"resourceType":"instance","tags":[{"key":"Name","value":"{word}-{word}"},{"key":"team","value":"{word}"}]}]}}`,
		response: `{"requestId":"{uuid}","reservationId":"r-0{hex16}","ownerId":"{account}","groupSet":{},"instancesSet":{"items":[{"instanceId":"i-0{hex16}","imageId":"ami-0{hex16}","instanceState":{"code":0,"name":"pending"},"privateDnsName":"ip-10-0-{n0-255}-{n0-255}.{region}.compute.internal","amiLaunchIndex":0,"productCodes":{},"instanceType":"m7g.large","placement":{"availabilityZone":"{region}a","tenancy":"default"},"subnetId":"subnet-0{hex16}","vpcId":"vpc-0{hex16}","privateIpAddress":"10.0.{n0-255}.{n0-255}","architecture":"arm64","rootDeviceType":"ebs","rootDeviceName":"/dev/xvda","ebsOptimized":false,"enaSupport":true}]}}`},
	{weight: 60, source: "iam.amazonaws.com", name: "GetUser", readOnly: true, host: "iam.amazonaws.com", request: `{"userName":"{user}"}`},
	{weight: 40, source: "iam.amazonaws.com", name: "ListAttachedRolePolicies", readOnly: true, host: "iam.amazonaws.com", request: `{"roleName":"{role}"}`},
	{weight: 10, source: "iam.amazonaws.com", name: "CreateRole", host: "iam.amazonaws.com",
		request:  `{"roleName":"{role}-{alnum6}","assumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"bedrock.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}","description":"r\u00f4le for {word}"}`,
		response: `{"role":{"assumeRolePolicyDocument":"%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D","arn":"arn:aws:iam::{account}:role/{role}-{alnum6}","roleId":"AROA{id17}","createDate":"{clock}","roleName":"{role}","path":"/"}}`},
	{weight: 80, source: "sts.amazonaws.com", name: "AssumeRole", readOnly: true, service: true,
		request:   `{"roleArn":"arn:aws:iam::{account}:role/{role}","roleSessionName":"{session}"}`,
		response:  `{"credentials":{"accessKeyId":"ASIA{id16}","sessionToken":"IQoJb3JpZ2luX2Vj{b64:620}","expiration":"{clock}"}}`,
		resources: `[{"accountId":"{account}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{account}:role/{role}"}]`},
	{weight: 25, source: "sts.amazonaws.com", name: "GetCallerIdentity", readOnly: true, host: "sts.{region}.amazonaws.com"},
	{weight: 60, source: "ssm.amazonaws.com", name: "GetParameter", readOnly: true, host: "ssm.{region}.amazonaws.com",
		request:   `{"name":"/{word}/{word}/{word}","withDecryption":true}`,
		resources: `[{"accountId":"{account}","ARN":"arn:aws:ssm:{region}:{account}:parameter/{word}/{word}"}]`},
	{weight: 30, source: "secretsmanager.amazonaws.com", name: "GetSecretValue", readOnly: true, host: "secretsmanager.{region}.amazonaws.com",
		request: `{"secretId":"arn:aws:secretsmanager:{region}:{account}:secret:{word}/{word}-{alnum6}"}`},
	{weight: 60, source: "s3.amazonaws.com", name: "GetBucketAcl", readOnly: true, host: "{bucket}.s3.{region}.amazonaws.com",
		request: `{"bucketName":"{bucket}","Host":"{bucket}.s3.{region}.amazonaws.com","acl":""}`, additional: s3Additional, resources: bucketResource},
	{weight: 30, source: "s3.amazonaws.com", name: "PutBucketPolicy", host: "{bucket}.s3.{region}.amazonaws.com",
		request:    `{"bucketPolicy":{"Version":"2012-10-17","Statement":[{"Action":"s3:GetBucketAcl","Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Resource":"arn:aws:s3:::{bucket}","Sid":"AWSCloudTrailAclCheck"},{"Action":"s3:PutObject","Condition":{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}},"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Resource":"arn:aws:s3:::{bucket}/*","Sid":"AWSCloudTrailWrite"}]},"bucketName":"{bucket}","Host":"{bucket}.s3.{region}.amazonaws.com","policy":""}`,
		additional: s3Additional, resources: bucketResource},
	{weight: 60, source: "s3.amazonaws.com", name: "GetObject", readOnly: true, data: true, host: "{bucket}.s3.{region}.amazonaws.com",
		request: `{"bucketName":"{bucket}","Host":"{bucket}.s3.{region}.amazonaws.com","key":"{object}"}`, additional: s3Additional,
		resources: `[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::{bucket}/{object}"},{"accountId":"{account}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{bucket}"}]`},
	{weight: 30, source: "logs.amazonaws.com", name: "DescribeLogGroups", readOnly: true, host: "logs.{region}.amazonaws.com", request: `{"logGroupNamePrefix":"/aws/{word}/","limit":50}`},
	{weight: 20, source: "monitoring.amazonaws.com", name: "DescribeAlarms", readOnly: true, host: "monitoring.{region}.amazonaws.com", request: `{"alarmNames":["{word}-{word}"],"maxRecords":100}`},
	{weight: 20, source: "rds.amazonaws.com", name: "DescribeDBInstances", readOnly: true, host: "rds.{region}.amazonaws.com", request: `{"dBInstanceIdentifier":"{word}-{word}","filters":[]}`},
	{weight: 10, source: "lambda.amazonaws.com", name: "UpdateFunctionCode20150331v2", host: "lambda.{region}.amazonaws.com",
		request:  `{"functionName":"{word}-{word}","publish":false,"dryRun":false}`,
		response: `{"functionName":"{word}-{word}","functionArn":"arn:aws:lambda:{region}:{account}:function:{word}","runtime":"provided.al2023","role":"arn:aws:iam::{account}:role/{role}","handler":"bootstrap","codeSize":{n1000-9000000},"timeout":30,"memorySize":256,"codeSha256":"{b64:43}=","version":"$LATEST","environment":{},"tracingConfig":{"mode":"PassThrough"},"revisionId":"{uuid}","state":"Active","packageType":"Zip"}`},

	{weight: 40, source: "bedrock.amazonaws.com", name: "InvokeModel", readOnly: true, ai: true, host: "bedrock-runtime.{region}.amazonaws.com",
		request: `{"modelId":"{model}"}`, additional: `{"inferenceRegion":"{region}"}`},
	{weight: 22, source: "bedrock.amazonaws.com", name: "Converse", readOnly: true, ai: true, host: "bedrock-runtime.{region}.amazonaws.com",
		request: `{"modelId":"us.{model}"}`, additional: `{"inferenceRegion":"us-west-2"}`},
	{weight: 14, source: "bedrock.amazonaws.com", name: "ConverseStream", readOnly: true, ai: true, completion: true, host: "bedrock-runtime.{region}.amazonaws.com",
		request: `{"modelId":"{model}"}`, resources: modelResource},
	{weight: 8, source: "bedrock.amazonaws.com", name: "ApplyGuardrail", readOnly: true, ai: true, data: true, host: "bedrock-runtime.{region}.amazonaws.com",
		request:   `{"guardrailVersion":"1","guardrailIdentifier":"{alnum12}","source":"INPUT"}`,
		response:  `{"action":"GUARDRAIL_INTERVENED","assessments":[{"contentPolicy":{"filters":[{"type":"VIOLENCE","confidence":"HIGH","action":"BLOCKED","detected":true}]}},{"sensitiveInformationPolicy":{"piiEntities":[{"type":"EMAIL","action":"BLOCKED","detected":true}]}}]}`,
		resources: `[{"accountId":"{account}","type":"AWS::Bedrock::Guardrail","ARN":"arn:aws:bedrock:{region}:{account}:guardrail/{alnum12}"}]`},
	{weight: 8, source: "bedrock.amazonaws.com", name: "InvokeAgent", ai: true, data: true, host: "bedrock-agent-runtime.{region}.amazonaws.com",
		request:   `{"agentId":"{id10}","agentAliasId":"{id10}","sessionId":"{uuid}","inputText":"HIDDEN_DUE_TO_SECURITY_REASONS","enableTrace":false}`,
		resources: `[{"accountId":"{account}","type":"AWS::Bedrock::AgentAlias","ARN":"arn:aws:bedrock:{region}:{account}:agent-alias/{id10}/{id10}"}]`},
	{weight: 6, source: "bedrock-mantle.amazonaws.com", name: "CreateInference", ai: true, data: true, host: "bedrock-mantle.{region}.api.aws",
		request:   `{"model":"{model}","stream":true,"service_tier":"default","metadata":{"team":"{word}"},"callWithBearerToken":true,"bearerTokenType":"ABSK"}`,
		resources: `[{"accountId":"{account}","type":"AWS::BedrockMantle::Project","ARN":"arn:aws:bedrock-mantle:{region}:{account}:project/proj_{alnum8}"}]`},
	{weight: 12, source: "sagemaker.amazonaws.com", name: "InvokeEndpoint", readOnly: true, ai: true, data: true, host: "runtime.sagemaker.{region}.amazonaws.com",
		request:   `{"endpointName":"{word}-{word}","contentType":"application/json","body":"HIDDEN_DUE_TO_SECURITY_REASONS"}`,
		resources: `[{"accountId":"{account}","type":"AWS::SageMaker::Endpoint","ARN":"arn:aws:sagemaker:{region}:{account}:endpoint/{word}-{word}"}]`},
	{weight: 4, source: "sagemaker.amazonaws.com", name: "CreateEndpoint", ai: true, host: "api.sagemaker.{region}.amazonaws.com",
		request: `{"endpointName":"{word}-{word}","endpointConfigName":"{word}-config"}`, response: `{"endpointArn":"arn:aws:sagemaker:{region}:{account}:endpoint/{word}-{word}"}`},
	{weight: 8, source: "comprehend.amazonaws.com", name: "DetectSentiment", readOnly: true, ai: true, host: "comprehend.{region}.amazonaws.com"},
	{weight: 8, source: "rekognition.amazonaws.com", name: "DetectLabels", readOnly: true, ai: true, host: "rekognition.{region}.amazonaws.com",
		request: `{"image":{"s3Object":{"bucket":"{bucket}","name":"{word}/{hex16}.jpg"}},"maxLabels":{n1-50}}`},
	{weight: 6, source: "textract.amazonaws.com", name: "AnalyzeDocument", ai: true, host: "textract.{region}.amazonaws.com", request: `{"document":{},"featureTypes":["TABLES","FORMS"]}`},
	{weight: 8, source: "translate.amazonaws.com", name: "TranslateText", ai: true, host: "translate.{region}.amazonaws.com",
		request:  `{"text":"HIDDEN_DUE_TO_SECURITY_REASONS","sourceLanguageCode":"en","targetLanguageCode":"fr"}`,
		response: `{"translatedText":"HIDDEN_DUE_TO_SECURITY_REASONS","sourceLanguageCode":"en","targetLanguageCode":"fr"}`},
	{weight: 6, source: "polly.amazonaws.com", name: "SynthesizeSpeech", readOnly: true, ai: true, host: "polly.{region}.amazonaws.com",
		request: `{"engine":"neural","outputFormat":"mp3","sampleRate":"22050","text":"**********","textType":"text","voiceId":"Kendra"}`},
}

// failure is an error that a call can end with; %s is filled as in a template.
type failure struct{ code, message string }

var failures = []failure{
	{"AccessDenied", "User: {arn} is not authorized to perform: {action} on resource: * because no identity-based policy allows the {action} action"},
	{"ThrottlingException", "Rate exceeded"},
	{"ValidationException", "1 validation error detected: Value at 'maxResults' failed to satisfy constraint"},
	{"ResourceNotFoundException", "The requested resource {word}-{word} was not found"},
}

var (
	accounts   = []string{"111122223333", "444455556666", "123456789012", "777788889999"}
	regions    = []string{"us-east-1", "us-east-1", "us-east-1", "us-west-2", "us-west-2", "eu-west-1", "ap-northeast-1"}
	users      = []string{"ana", "bert", "chidi", "dmitri", "eve", "farah", "ci-deploy", "gitlab-runner", "etl", "backup"}
	roles      = []string{"app-prod", "app-staging", "data-science", "terraform", "AWSReservedSSO_AdministratorAccess_1b74cd717d47002b", "eks-node", "rag-indexer", "support-bot"}
	sessions   = []string{"ana@example.com", "chidi@example.com", "farah@example.com", "i-0dbc91f429e48eeed", "botocore-session-1767225600", "pipeline-4711"}
	callers    = []string{"ec2.amazonaws.com", "secretsmanager.amazonaws.com", "lambda.amazonaws.com", "cloudtrail.amazonaws.com", "bedrock.amazonaws.com"}
	words      = []string{"billing", "orders", "search", "vision", "invoices", "prod", "staging", "catalog", "chat", "summaries", "alerts", "claims", "reports", "ledger", "index", "frontend"}
	models     = []string{"anthropic.claude-3-sonnet-20240229-v1:0", "anthropic.claude-opus-4-7", "amazon.nova-pro-v1:0", "amazon.titan-embed-text-v2:0", "meta.llama3-1-70b-instruct-v1:0", "mistral.mistral-large-2407-v1:0"}
	userAgents = []string{
		"APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) terraform-provider-aws/5.76.1 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.32.5 os/linux lang/go#1.23.3 md/GOOS#linux md/GOARCH#amd64 api/ec2#1.187.1",
		"aws-cli/2.32.3 md/awscrt#0.28.4 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.13.9 md/pyimpl#CPython m/E,g,C,Z,b cfg/retry-mode#standard md/installer#exe md/distrib#debian.13 md/prompt#off",
		"Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux#5.10.225 md/arch#x86_64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.34.0",
		"aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.24.1 md/GOOS#linux md/GOARCH#arm64 m/E",
		"aws-sdk-js/3.750.0 ua/2.1 os/linux#5.10 lang/js md/nodejs#20.18.1 api/bedrock-runtime#3.750.0 m/E,N",
		"[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.4.247-169.350.amzn2int.x86_64 OpenJDK_64-Bit_Server_VM/25.372-b08 java/1.8.0_372 vendor/Oracle_Corporation cfg/retry-mode/standard]",
		"AWS Internal",
	}
)
